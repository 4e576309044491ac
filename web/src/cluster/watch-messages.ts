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

/** A node that is paused, or cut off, does not end its connections. This many messages of progress may be missing. */
const SILENT_PROGRESS = 3
const SILENT_MS = 5_000

type WatchMessage = Exclude<DecodedWatchMessage, { readonly kind: 'ended' }>

/** Throws `RefusedError` when the node ends the watch, and `NoAnswerError` when it does not answer. */
export async function* readMessages(
  request: WatchedChanges,
  signal: AbortSignal,
): AsyncGenerator<WatchMessage> {
  const silence = new AbortController()
  const limitMs = Math.max(SILENT_MS, SILENT_PROGRESS * request.progressMs)
  const end = (): void => silence.abort(new DOMException('the watch has fallen silent', 'TimeoutError'))
  let timer = setTimeout(end, limitMs)
  try {
    const stream = await openStream(
      watch,
      { kind: 'watch', request },
      AbortSignal.any([signal, silence.signal]),
    )
    for await (const line of splitLines(stream)) {
      clearTimeout(timer)
      timer = setTimeout(end, limitMs)
      const message = decodeWatchLine(line, request.values)
      if (message === undefined) continue
      if (message.kind === 'ended') throw new RefusedError(judgeProblem(message.problem))
      yield message
    }
  } finally {
    clearTimeout(timer)
  }
}
