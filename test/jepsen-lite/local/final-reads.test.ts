// The final content of nodes at the end of a run. Nothing is invented for a node that is slow to answer.

import { expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import { recordFinalReads } from '../../../jepsen-lite/local/final-reads.ts'
import type { HttpEnd } from '../../../jepsen-lite/local/wires/http/http-client.ts'
import { buildHistory, type HistoryEvent, Recorder } from '../../../jepsen-lite/workload/history.ts'

const NODES = [{ name: 'n1' }, { name: 'n2' }]
const STATUS = { applied_index: 7, revision: 3, state_hash: '0a', errors: [] }
const PAGE = { kvs: [], more: false, revision: 3 }
const LIMIT_MS = 400

const textAnswer = (body: string): HttpEnd => ({ kind: 'answer', status: 200, headers: {}, body })
const answer = (body: object): HttpEnd => textAnswer(JSON.stringify(body))

interface Taken {
  readonly apart: string | undefined
  readonly hashes: readonly string[]
  readonly findings: readonly string[]
}

/** `status`: of the node of this name, which has been asked so often before. */
async function taken(
  status: (name: string, asked: number) => HttpEnd,
  page: (target: string) => HttpEnd = () => answer(PAGE),
): Promise<Taken> {
  const asked = new Map<string, number>()
  const events: HistoryEvent[] = []
  const recorder = new Recorder(
    { workload: 'kv', command: 'a test' },
    () => 0,
    (event) => events.push(event),
  )
  const cluster = {
    members: NODES,
    async request({ name }: (typeof NODES)[number], _method: 'GET', target: string): Promise<HttpEnd> {
      if (target !== '/v1/status') return page(target)
      const before = asked.get(name) ?? 0
      asked.set(name, before + 1)
      return status(name, before)
    },
  }
  const apart = await recordFinalReads(cluster, recorder, LIMIT_MS, new AbortController().signal)
  const history = buildHistory(events)
  return {
    apart,
    hashes: history.finals.map(({ stateHash }) => stateHash),
    findings: check(history).findings.map((finding) => finding.check),
  }
}

test('a node that is too busy to tell its status again has not lost its state', async () => {
  const busy: HttpEnd = { kind: 'no-answer', why: 'no answer in time' }
  const { apart, hashes, findings } = await taken((name, asked) =>
    name === 'n2' && asked >= 2 ? busy : answer(STATUS),
  )
  expect({ apart, hashes, findings }).toEqual({ apart: undefined, hashes: ['0a', '0a'], findings: [] })
})

test('nodes that hold something else after the same entries are found', async () => {
  const { findings } = await taken((name) => answer({ ...STATUS, state_hash: name === 'n1' ? '0a' : '0b' }))
  expect(findings).toEqual(['durability'])
})

test.each(['applied_index', 'revision', 'state_hash', 'errors'])(
  'nodes that do not tell their %s have not come together',
  async (name) => {
    const { apart, hashes } = await taken(() => answer({ ...STATUS, [name]: undefined }))
    expect(apart).toContain('n1: no answer, n2: no answer')
    expect(hashes).toEqual([])
  },
)

const rowPage = (key: string, next: string): HttpEnd => {
  const row = { key, value: '', create_revision: 2, mod_revision: 2, version: 1 }
  return answer({ kvs: [row], more: true, next, revision: 3 })
}

test.each<[string, (target: string) => HttpEnd, string]>([
  [
    'turns in a circle',
    (target) => (target.endsWith('after=b') ? rowPage('a', 'a') : rowPage('b', 'b')),
    'n1',
  ],
  [
    'goes on behind a key that it has not shown',
    (target) => (target.endsWith('after=b') ? answer(PAGE) : rowPage('a', 'b')),
    'n1',
  ],
  ['gives no JSON', () => textAnswer('{"kvs": ['), 'n1 did not answer the last read'],
])('a node whose last read %s is found, and not read for ever', async (_, page, expected) => {
  const { apart, hashes } = await taken(() => answer(STATUS), page)
  expect(apart).toContain(expected)
  expect(hashes).toEqual([])
})

test('a status that is no JSON is no status', async () => {
  const { apart } = await taken(() => textAnswer('{'))
  expect(apart).toContain('n1: no answer, n2: no answer')
})
