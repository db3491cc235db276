/** The bytes of a file, on their way. Read `body`, or use one of the methods, once. */
export class Download {
  constructor(private readonly response: Response) {}

  get body(): ReadableStream<Uint8Array> {
    return this.response.body ?? new Blob([]).stream();
  }
}
