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
import { splitLines } from './lines.ts'

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
