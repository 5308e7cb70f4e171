/** One entry of an archive that a test makes. */
export interface TarEntry {
  readonly path: string;
  readonly content?: Buffer | string;
  /** Of the ustar format: `0` a file, `2` a symbolic link, `5` a directory. @default `0` */
  readonly type?: string;
  readonly linkTo?: string;
}

/** A tar archive in the ustar format, as npm makes them, not compressed. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap(({ path, content = '', type = '0', linkTo = '' }) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(path, 0, 100, 'latin1');
    header.write('0000644\0', 100);
    header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write(type, 156);
    header.write(linkTo, 157, 100, 'latin1');
    header.write('ustar\u000000', 257);
    writeChecksum(header);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** Puts the right checksum into a header. */
export function writeChecksum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}
