const CHUNK_LENGTH = 32 * 1024;

/** A list as JSON, one item a line, in chunks: the list itself is never whole in memory. */
export async function* jsonList(items: AsyncIterable<object> | Iterable<object>): AsyncGenerator<string> {
  let [chunk, separator] = ['[', '\n'];
  for await (const item of items) {
    chunk += separator + JSON.stringify(item);
    separator = ',\n';
    if (chunk.length < CHUNK_LENGTH) continue;
    yield chunk;
    chunk = '';
  }
  yield `${chunk}\n]\n`;
}
