// The messages of a watch, as lines of JSON over HTTP. The page reads them as they arrive: what it does not take in
// time waits at the node, which ends a watch whose reader is too slow.

import { judgeProblem } from '../../../src/operations/forms/answers.ts'
import {
  type DecodedWatchMessage,
  decodeWatchLine,
  type WatchedChanges,
  watch,
} from '../../../src/operations/watch.ts'
import { openStream, RefusedError } from './connection.ts'

const LF = 0x0a

type WatchMessage = Exclude<DecodedWatchMessage, { readonly kind: 'ended' }>

/** Throws `RefusedError` when the node ends the watch, and `UnreachableError` when it does not answer. */
export async function* readMessages(
  request: WatchedChanges,
  signal: AbortSignal,
): AsyncGenerator<WatchMessage> {
  const stream = await openStream(watch, { kind: 'watch', request }, signal)
  for await (const line of splitLines(stream)) {
    const message = decodeWatchLine(line, request.values)
    if (message === undefined) continue
    if (message.kind === 'ended') throw new RefusedError(judgeProblem(message.problem))
    yield message
  }
}

/** Lines without their LF. A line that does not end is dropped with the stream. */
async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
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
