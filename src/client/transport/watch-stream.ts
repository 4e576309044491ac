// Messages of a watch from its answer: lines over HTTP, or items of a multiplexed connection (pending-watch.ts).

import { DisagreementError } from '../../operations/forms/decode.ts'
import { type DecodedWatchMessage, decodeWatchLine } from '../../operations/watch.ts'
import { unexpected } from '../decode.ts'
import { UnavailableError } from '../errors.ts'
import { splitLines } from '../list.ts'
import { afterPendingEvents } from '../timer.ts'
import type { WatchSource } from '../watch.ts'
import type { NodeAnswer } from './transport.ts'

interface WatchStreamOptions {
  /** Whether the records of its events have values. */
  readonly values: boolean
  readonly silentMs: number
  readonly firstMs?: number | undefined
  readonly background?: boolean
}

/**
 * `silentMs`: limit on the silence of the node while the watch waits for it. `firstMs`: the same until the first
 * message. `background`: the wait keeps no process alive.
 */
export function watchSourceFrom(
  answer: NodeAnswer,
  { values, silentMs, firstMs = silentMs, background = false }: WatchStreamOptions,
): WatchSource {
  const { endpoint } = answer
  if (answer.kind !== 'streaming')
    throw unexpected(new DisagreementError('the node does not stream'), endpoint.url, 'no')
  const { stream } = answer
  if ('messages' in stream) {
    return { endpoint, messages: stream.messages(), isShared: true, close: () => stream.destroy() }
  }
  const pieces: AsyncIterable<Buffer> = stream
  stream.on('error', () => {})
  const close = () => void stream.destroy()
  async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
    const iterator = pieces[Symbol.asyncIterator]()
    for (let limitMs = Math.min(firstMs, silentMs); ; limitMs = silentMs) {
      const silent = new UnavailableError(`${endpoint.url} has sent a watch nothing for ${limitMs} ms`, {
        code: 'timeout',
        written: 'no',
        endpoint: endpoint.url,
      })
      const stopTimer = afterPendingEvents(limitMs, () => void stream.destroy(silent), { unref: background })
      // The timer stops while the application takes messages: it may be slower than any node.
      const { done, value } = await iterator.next().finally(stopTimer)
      if (done === true) return
      yield value
    }
  }
  async function* messages(): AsyncGenerator<DecodedWatchMessage, void, undefined> {
    for await (const line of splitLines(chunks())) {
      const message = decodeWatchLine(line, values)
      if (message !== undefined) yield message
    }
  }
  return { endpoint, messages: messages(), isShared: false, close }
}
