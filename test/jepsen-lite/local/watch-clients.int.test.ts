// The watch clients of a run record or report every refusal, whatever the node sends.

import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { WatchMessage, WatchSelection } from '../../../jepsen-lite/checker/watch/index.ts'
import { HttpWatchClients } from '../../../jepsen-lite/local/wires/http/watch-clients.ts'
import { WIRES } from '../../../jepsen-lite/local/wires/index.ts'
import { LibraryWatchClients } from '../../../jepsen-lite/local/wires/library-watch-clients.ts'
import type { WatchClientOptions, WatchClients } from '../../../jepsen-lite/local/wires/watch-clients.ts'
import { type HistoryEvent, Recorder } from '../../../jepsen-lite/workload/history.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'

const http = (options: WatchClientOptions) => new HttpWatchClients(options)
const library = (options: WatchClientOptions) =>
  new LibraryWatchClients(options, WIRES.http.createLibraryClient)

interface Seen {
  readonly told: readonly WatchMessage[]
  /** From which revision each watch was asked for. */
  readonly from: readonly (number | undefined)[]
  readonly reports: readonly string[]
}

/** A client that gets these answers, one after the other; it ends when the last one was asked for. */
async function watched(
  watch: (options: WatchClientOptions) => WatchClients,
  from: number,
  ...answers: readonly ((response: ServerResponse) => void)[]
): Promise<Seen> {
  const over = new AbortController()
  let asked = 0
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/v1/watch') !== true) return void response.writeHead(404).end('{}')
    const answer = answers[asked++]
    if (asked > answers.length) {
      response.destroy()
      over.abort()
    } else answer?.(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const events: HistoryEvent[] = []
  const reports: string[] = []
  const { port } = server.address() as AddressInfo
  const range: WatchSelection = { start: '', from, prev: false, values: true }
  const watching = watch({
    ...{ client: 'w', selection: range, random: new Random('watching'), isSlow: false, moves: false },
    recorder: new Recorder(
      { workload: 'watch', command: '' },
      () => 0,
      (event) => events.push(event),
    ),
    targets: () => [{ name: 'n1', port }],
    signal: over.signal,
    report: (message: string) => reports.push(message),
  })
  await watching.done
  return {
    told: events.flatMap((event) => (event.type === 'told' ? [event.told] : [])),
    from: events.flatMap((event) => (event.type === 'watch' ? [event.asked.from] : [])),
    reports,
  }
}

const refusal =
  (status: number, code: string, members: object = {}) =>
  (response: ServerResponse) =>
    void response
      .writeHead(status, { 'Content-Type': 'application/problem+json', 'Kv-Cluster': 'c1' })
      .end(JSON.stringify({ type: `/problems/${code}`, title: code, status, code, detail: code, ...members }))
const compacted = refusal(410, 'compacted', { compact_revision: 5, resume_from: 6 })

test('a watch that is refused because its revision is compacted is recorded as such, and goes on where it may', async () => {
  const { told, from, reports } = await watched(http, 3, compacted)
  expect(told).toEqual([{ kind: 'compacted', next: 3, compactRevision: 5, resumeFrom: 6 }])
  expect(from).toEqual([3, 6])
  expect(reports).toEqual([])
})

test('a node that cannot serve now is asked again; another refusal, and one that does not say where to go on, is reported', async () => {
  const { told, reports } = await watched(
    http,
    3,
    refusal(503, 'no_leader'),
    refusal(429, 'overloaded'),
    refusal(400, 'bad_request'),
    refusal(410, 'compacted'),
  )
  expect(told).toEqual([])
  expect(reports).toEqual([
    expect.stringContaining('a watch was refused with 400'),
    expect.stringContaining('a watch was refused with 410'),
  ])
})

test('the client library tells so as well', async () => {
  const { told, from } = await watched(library, 3, compacted)
  expect(told).toEqual([{ kind: 'compacted', next: 3, compactRevision: 5, resumeFrom: 6 }])
  expect(from.slice(0, 2)).toEqual([3, 6])
})
