/** Something about the machine that takeover cannot work with; the message is the whole sentence. */
export class TakeoverError extends Error {
  override readonly name = 'TakeoverError';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
