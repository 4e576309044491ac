// Watches over HTTP: one request for each, whose answer is lines of JSON without an end.

import { withQuery } from './address.ts'
import { disagree, type Json, parseObject } from './decode.ts'
import { UnavailableError } from './errors.ts'
import type { Answer } from './exchange.ts'
import { linesOf } from './list.ts'
import { afterLastLook } from './timer.ts'
import type { WatchRequest, WatchStream } from './watch.ts'

export const NDJSON = { Accept: 'application/x-ndjson' }

export const watchPath = ({ place, from, prev, only, values, progressMs }: WatchRequest): string =>
  withQuery('/v1/watch', {
    ...place,
    from,
    prev: prev ? true : undefined,
    only,
    values: values ? undefined : false,
    progress: `${progressMs}ms`,
  })

/** `silentMs`: how long nothing may come while something is waited for. */
export function streamOf(answer: Answer, silentMs: number): WatchStream {
  const { endpoint } = answer
  if (answer.kind !== 'streaming') return disagree('the node does not stream')
  const { stream } = answer
  stream.on('error', () => {})
  const close = () => void stream.destroy()
  async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
    const iterator: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]()
    for (;;) {
      const silent = new UnavailableError(`${endpoint.url} has told a watch nothing for ${silentMs} ms`, {
        code: 'timeout',
        written: 'no',
        endpoint: endpoint.url,
      })
      const stopTimer = afterLastLook(silentMs, () => void stream.destroy(silent))
      try {
        const { done, value } = await iterator.next()
        if (done === true) return
        yield value
      } finally {
        stopTimer()
      }
    }
  }
  async function* messages(): AsyncGenerator<{ json: Json; bytes: number }, void, undefined> {
    for await (const line of linesOf(chunks())) {
      const json = parseObject(line) ?? disagree('a line of the watch is not a JSON object')
      // The type of a problem is a URI in other answers.
      yield { json, bytes: line.length }
    }
  }
  return { endpoint, messages: messages(), close }
}
