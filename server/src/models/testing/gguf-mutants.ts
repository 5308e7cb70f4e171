import fc from 'fast-check';

/** Changes of valid GGUF files, such as a damaged disk makes, and such as somebody makes who means harm. */

/** A number in a header. */
export interface Field {
  readonly at: number;
  readonly bytes: 4 | 8;
  readonly what: 'count' | 'length' | 'type' | 'dimension' | 'offset' | 'value';
}

/** One change. Figures are shares of what there is, so that each suits any file. */
export type Mutation =
  | { readonly kind: 'bit'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly field: number; readonly value: bigint }
  | { readonly kind: 'copy'; readonly field: number; readonly from: number; readonly plus: bigint }
  | { readonly kind: 'overlap'; readonly tensor: number; readonly other: number; readonly plus: bigint }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'remove' | 'repeat'; readonly at: number; readonly length: number };

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edges = [
  0n,
  1n,
  7n,
  31n,
  33n,
  255n,
  1n << 16n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
];
const wideEdges = [1n << 61n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 32n, (1n << 64n) - 1n];

/** Any change. */
export const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('bit'), at: share, bit: fc.nat(7) }),
  fc.record({
    kind: fc.constant('set'),
    field: share,
    value: fc.oneof(fc.constantFrom(...edges, ...wideEdges), fc.bigInt(0n, 4096n)),
  }),
  fc.record({ kind: fc.constant('copy'), field: share, from: share, plus: fc.bigInt(-2n, 2n) }),
  fc.record({
    kind: fc.constant('overlap'),
    tensor: share,
    other: share,
    plus: fc.constantFrom(0n, 32n, -32n, 1n),
  }),
  fc.record({ kind: fc.constant('cut'), at: share }),
  fc.record({
    kind: fc.constantFrom('remove', 'repeat'),
    at: share,
    length: fc.integer({ min: 1, max: 64 }),
  }),
);

/** `file` with these changes to its header, in this order. Cuts go anywhere. */
export function mutate(file: Buffer, mutations: readonly Mutation[]): Buffer {
  const { fields, end } = fieldsOf(file);
  const offsets = fields.filter(({ what }) => what === 'offset');
  const pick = <T>(list: readonly T[], part: number): T | undefined => list[Math.floor(part * list.length)];
  let bytes = Buffer.from(file);
  const put = (field: Field | undefined, value: bigint): void => {
    if (field === undefined || field.at + field.bytes > bytes.length) return;
    if (field.bytes === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, value), field.at);
    else bytes.writeUInt32LE(Number(BigInt.asUintN(32, value)), field.at);
  };
  const get = (field: Field | undefined): bigint => {
    if (field === undefined || field.at + field.bytes > bytes.length) return 0n;
    return field.bytes === 8 ? bytes.readBigUInt64LE(field.at) : BigInt(bytes.readUInt32LE(field.at));
  };
  for (const one of mutations) {
    const place = 'at' in one ? Math.floor(one.at * Math.min(end, bytes.length)) : 0;
    switch (one.kind) {
      case 'bit':
        if (place < bytes.length) bytes[place] = (bytes[place] ?? 0) ^ (1 << one.bit);
        break;
      case 'set':
        put(pick(fields, one.field), one.value);
        break;
      case 'copy':
        put(pick(fields, one.field), get(pick(fields, one.from)) + one.plus);
        break;
      case 'overlap':
        put(pick(offsets, one.tensor), get(pick(offsets, one.other)) + one.plus);
        break;
      case 'cut':
        bytes = bytes.subarray(0, Math.floor(one.at * bytes.length));
        break;
      case 'remove':
        bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + one.length)]);
        break;
      case 'repeat':
        bytes = Buffer.concat([bytes.subarray(0, place + one.length), bytes.subarray(place)]);
        break;
    }
  }
  return bytes;
}

/** Bytes of GGUF's types of numbers, by their number in the file. */
const scalarBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

/** Where the numbers of a valid file's header lie, and where it ends. Of long lists the elements are left out. */
export function fieldsOf(file: Buffer): { readonly fields: readonly Field[]; readonly end: number } {
  const fields: Field[] = [];
  let at = 4;
  const u32 = (what: Field['what']): number => {
    fields.push({ at, bytes: 4, what });
    at += 4;
    return file.readUInt32LE(at - 4);
  };
  const u64 = (what: Field['what']): number => {
    fields.push({ at, bytes: 8, what });
    at += 8;
    return Number(file.readBigUInt64LE(at - 8));
  };
  const text = (): void => {
    const length = u64('length');
    at += length;
  };
  const value = (type: number): void => {
    if (type === 8) text();
    else if (type === 9) {
      const element = u32('type');
      const count = u64('count');
      const first = fields.length;
      for (let index = 0; index < count; index += 1) value(element);
      fields.splice(first + 4);
    } else {
      if (type === 4 || type === 5 || type === 6) fields.push({ at, bytes: 4, what: 'value' });
      at += scalarBytes[type] ?? 0;
    }
  };
  u32('value');
  const [tensors, keys] = [u64('count'), u64('count')];
  for (let index = 0; index < keys; index += 1) {
    text();
    value(u32('type'));
  }
  for (let index = 0; index < tensors; index += 1) {
    text();
    const dimensions = u32('count');
    for (let axis = 0; axis < dimensions; axis += 1) u64('dimension');
    u32('type');
    u64('offset');
  }
  return { fields, end: at };
}
