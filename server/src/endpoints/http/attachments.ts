import type { GenerateRequestInput } from '@hearth/protocol';
import { invalidRequest, unsupported } from './api-error.js';

export type Attachment = NonNullable<GenerateRequestInput['attachments']>[number];
export type ContentBlock = Exclude<
  NonNullable<GenerateRequestInput['messages']>[number]['content'],
  string
>[number];

/** Collects what the blocks of a conversation bring along, under ids of our own. */
export class Attachments {
  readonly list: Attachment[] = [];

  /** The block that stands for `data`, which is base64. */
  add(kind: Attachment['kind'], data: string): ContentBlock {
    const id = `a${this.list.length}`;
    this.list.push({ id, kind, len: decodedLength(data), data });
    return { type: kind, attachment_id: id };
  }

  /**
   * The block of an image that a client names by URL. Only `data:` URLs are taken: nothing here fetches from an address
   * that a request names (row 170).
   *
   * @throws ApiError 400
   */
  addImageUrl(url: string, field: string): ContentBlock {
    const data = /^data:image\/[a-z0-9.+-]+;base64,(.*)$/is.exec(url)?.[1];
    if (data !== undefined) return this.add('image', data);
    if (/^https?:/i.test(url))
      throw unsupported(field, 'Remote images are not fetched: send the image itself as a data: URL.');
    throw invalidRequest(`${field} must be a data: URL with the base64 of an image`, field);
  }
}

/** Bytes that a base64 text stands for. */
function decodedLength(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return Math.max(0, Math.floor((text.length * 3) / 4) - padding);
}
