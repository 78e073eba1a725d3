/** Streams for reporters to write to. */
import { Writable } from 'node:stream';

export interface Captured extends Writable {
  text(): string;
  columns?: number;
  rows?: number;
}

export function capture(terminal?: { columns: number }): Captured {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return Object.assign(stream, {
    text: () => text,
    ...(terminal === undefined ? {} : { ...terminal, rows: 40, isTTY: true }),
  });
}

/** Whoever reads has gone: every write fails. */
export function brokenPipe(): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
}
