// Changes that arrive together are proposed as one entry, and each caller gets the same outcome as alone.

import { expect, test } from 'vitest'
import type { Command, Outcome, Request } from '../../../src/kv/index.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import type { Result } from '../../../src/server/node/result.ts'
import { isPlain, WriteCoalescer } from '../../../src/server/node/write/write-coalescer.ts'
import { ask, deleteOf, putOf } from '../../kv/store.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

type Answer = Result<{ readonly outcome: Outcome; readonly replayed: boolean }>

interface Proposal {
  readonly command: Command
  readonly timeoutMs: number
  readonly count: number
  readonly done: (result: Answer) => void
}

function gathering() {
  const proposals: Proposal[] = []
  const answers: (readonly [name: string, answer: Answer])[] = []
  const clock = { at: 0, now: () => clock.at }
  const gathered = new WriteCoalescer(clock, ({ command }, timeoutMs, count, done) =>
    proposals.push({ command, timeoutMs, count, done }),
  )
  const add = (name: string, command: Command, timeoutMs = 5000): void =>
    gathered.add(plain(command), timeoutMs, (answer) => answers.push([name, answer]))
  return { clock, gathered, proposals, answers, add }
}

function plain(command: Command) {
  const request: Request = { ...ask(command), principal: '' }
  if (!isPlain(request)) throw new Error(`${command.kind} is no plain change`)
  return request
}

/** A command as text: its keys, or its kind. */
const shown = ({ command }: Proposal): string =>
  command.kind === 'batch'
    ? command.commands.map(({ kind, key }) => `${kind} ${Buffer.from(key)}`).join(', ')
    : 'key' in command
      ? `${command.kind} ${Buffer.from(command.key)}`
      : command.kind

const outcomeOf = (revision: number) =>
  ({ kind: 'delete', deleted: 1, revision: asRevision(revision) }) as Outcome

test('changes that come together are one batch, in their order, and each caller gets its own outcome', () => {
  const { gathered, proposals, answers, add } = gathering()
  for (const name of ['a', 'b', 'a']) add(name, putOf(name, 'v'))
  expect([gathered.size, gathered.bytes, proposals.length]).toEqual([3, 6, 0])
  gathered.flush()
  gathered.flush()
  expect([gathered.size, gathered.bytes, proposals.map(shown)]).toEqual([0, 0, ['put a, put b, put a']])
  const outcomes = [7, 8, 9].map(outcomeOf)
  const [proposal] = proposals
  expect(proposal?.count).toBe(3)
  const batch = { kind: 'batch', revision: asRevision(9), outcomes } as Outcome
  proposal?.done({ ok: true, value: { outcome: batch, replayed: false } })
  expect(answers).toEqual(
    ['a', 'b', 'a'].map((name, at) => [
      name,
      { ok: true, value: { outcome: outcomes[at], replayed: false } },
    ]),
  )
})

test('what becomes of the batch as a whole is told to each', () => {
  const { gathered, proposals, answers, add } = gathering()
  add('a', putOf('a', 'v'))
  add('b', putOf('b', 'v'))
  gathered.flush()
  const lost: Answer = { ok: false, problem: { code: 'outcome_unknown', detail: 'lost', written: 'unknown' } }
  proposals[0]?.done(lost)
  expect(answers).toEqual([
    ['a', lost],
    ['b', lost],
  ])
})

test('one change is what it is alone', () => {
  const { gathered, proposals, add } = gathering()
  add('a', putOf('a', 'v'))
  gathered.flush()
  expect(proposals).toMatchObject([{ count: 1, command: { kind: 'put' } }])
})

test('what may be sent again, needs a row before it, a lease, or much room is no plain change', () => {
  const token = { token: 'token', since: undefined }
  const others: readonly Request[] = [
    { ...ask(putOf('token', 'v')), idempotency: token },
    ask({ ...putOf('prev', 'v'), prev: true }),
    ask({ ...putOf('lease', 'v'), lease: { ttlMs: 1000 } }),
    ask(putOf('large', 'v'.repeat(128 * 1024))),
    ask({ kind: 'open-session' }),
  ]
  expect(others.filter(isPlain)).toEqual([])
  expect([ask(putOf('a', 'v')), ask(deleteOf('a'))].filter(isPlain)).toHaveLength(2)
})

test('what cannot be in a batch is proposed behind the changes before it', () => {
  const cluster = SimulatedCluster.formed(1)
  const { leading } = cluster
  const changes = [leading.put('a', 'before'), leading.batch([['a', 'other']]), leading.put('a', 'after')]
  cluster.until(() => changes.every(({ result }) => result !== undefined))
  const outcomes = changes.map(({ result }) => result?.ok === true && result.value)
  expect(outcomes).toMatchObject([{ version: 1 }, { outcomes: [{ version: 2 }] }, { version: 3 }])
})

test('puts and deletes are not mixed, and keep their order', () => {
  const { gathered, proposals, add } = gathering()
  for (const command of [putOf('a', '1'), putOf('b', '1'), deleteOf('a'), deleteOf('b'), putOf('a', '2')])
    add('', command)
  gathered.flush()
  expect(proposals.map(shown)).toEqual(['put a, put b', 'delete a, delete b', 'put a'])
})

test('a batch has as many changes and bytes as may be in one', () => {
  const { gathered, proposals, add } = gathering()
  for (let n = 0; n < 2001; n++) add('', putOf('k', ''))
  gathered.flush()
  expect(proposals.map(({ count }) => count)).toEqual([1000, 1000, 1])
  for (let n = 0; n < 5; n++) add('', putOf('k', 'v'.repeat(50 * 1024)))
  gathered.flush()
  expect(proposals.slice(3).map(({ count }) => count)).toEqual([2, 2, 1])
})

test('where each change has a little less time than the one before, none of them is answered much too early', () => {
  const { add, gathered, proposals } = gathering()
  for (const timeoutMs of [5000, 4940, 4880, 4820]) add('', putOf('k', 'v'), timeoutMs)
  gathered.flush()
  expect(proposals.map(({ count, timeoutMs }) => [count, timeoutMs])).toEqual([
    [2, 4940],
    [2, 4820],
  ])
})

test('nobody waits longer than wanted, and nobody is answered much too early', () => {
  const { gathered, proposals, add } = gathering()
  for (const timeoutMs of [5000, 4950, 5001, 1000, 985, 155, 60]) add('', putOf('k', 'v'), timeoutMs)
  gathered.flush()
  expect(proposals.map(({ count, timeoutMs }) => [count, timeoutMs])).toEqual([
    [3, 4950],
    [2, 985],
    [1, 155],
    [1, 60],
  ])
})

test('time that passes before they are proposed counts, and what comes too late is not written', () => {
  const { clock, gathered, proposals, answers, add } = gathering()
  add('a', putOf('k', 'v'), 300)
  clock.at = 200
  gathered.flush()
  expect(proposals).toMatchObject([{ timeoutMs: 100 }])
  add('b', putOf('k', 'v'), 300)
  clock.at = 500
  gathered.flush()
  expect([proposals.length, gathered.size]).toEqual([1, 0])
  expect(answers).toMatchObject([['b', { ok: false, problem: { code: 'overloaded', written: 'no' } }]])
})

test('what a caller asks for when it is told that it came too late does not share the entry of the next change', () => {
  const { clock, gathered, proposals, add } = gathering()
  gathered.add(plain(putOf('late', 'v')), 10, () => add('next', deleteOf('next'), 500))
  clock.at = 20
  add('other', putOf('other', 'v'), 5000)
  gathered.flush()
  expect(proposals.map((each) => [shown(each), each.timeoutMs])).toEqual([
    ['put other', 5000],
    ['delete next', 500],
  ])
})

test('at the end of the node nothing of what was gathered was written', () => {
  const { gathered, proposals, answers, add } = gathering()
  add('a', putOf('a', 'v'))
  add('b', putOf('b', 'v'))
  gathered.endAll({ code: 'not_ready', detail: 'the end', written: 'no' })
  gathered.flush()
  expect([proposals, answers.map(([name, answer]) => [name, answer.ok])]).toEqual([
    [],
    [
      ['a', false],
      ['b', false],
    ],
  ])
})
