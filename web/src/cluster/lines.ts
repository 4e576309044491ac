// Lines of a stream of bytes.

const LF = 0x0a

/** Lines without their LF. A line that does not end is dropped with the stream. */
export async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of stream) {
    let start = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      const rest = chunk.subarray(start, end)
      yield parts.length === 0 ? rest : joinBytes([...parts.splice(0), rest])
      start = end + 1
    }
    if (start < chunk.length) parts.push(chunk.subarray(start))
  }
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
