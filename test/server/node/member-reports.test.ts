// Reports of members for the clients of others, in whole clusters and virtual time.

import { expect, test } from 'vitest'
import { bytes, text } from '../../../jepsen-lite/sim/oracle/model-row.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { type Promised, SimulatedCluster, type SimulatedNode } from '../simulated-cluster.ts'

const { reportsMax, reportBytesMax } = driverLimits

function problemOf({ result }: Promised<unknown>): string | undefined {
  return result === undefined || result.ok ? undefined : `${result.problem.code}: ${result.problem.detail}`
}

function settled<T>(cluster: SimulatedCluster, ...promised: readonly Promised<T>[]): void {
  cluster.until(() => promised.every(({ result }) => result !== undefined))
}

const countsOf = ({ running }: SimulatedNode): Record<string, number> => {
  const counts = running.inspect()
  return { waiting: counts['reports.waiting'] ?? -1, making: counts['reports.making'] ?? -1 }
}

const AT_REST = { waiting: 0, making: 0 }

test('every node gets each report of every other one', () => {
  const cluster = SimulatedCluster.formed(3)
  for (const asked of cluster.nodes) {
    for (const of of cluster.nodes.filter((node) => node !== asked)) {
      const [status, metrics] = [asked.requestReport(of), asked.requestReport(of, 'metrics')]
      expect(status.result).toBeUndefined()
      settled(cluster, status, metrics)
      expect([status, metrics].map(({ value }) => text(value))).toEqual([
        `status of ${of.name}`,
        `metrics of ${of.name}`,
      ])
    }
  }
  expect(cluster.nodes.map(countsOf)).toEqual(cluster.nodes.map(() => AT_REST))
})

test('a member that hangs costs its time, and requests for the others are answered', () => {
  const cluster = SimulatedCluster.formed(3)
  const [first, second] = cluster.followers as [SimulatedNode, SimulatedNode]
  const at = cluster.time.now
  cluster.isolate(second)
  const hung = first.requestReport(second, 'metrics', 1500)
  const other = first.requestReport(cluster.leading)
  settled(cluster, other)
  expect(cluster.time.now - at).toBeLessThan(100)
  settled(cluster, hung)
  expect(cluster.time.now - at).toBeCloseTo(1500)
  expect(problemOf(hung)).toBe(`not_ready: ${second.name} has not answered within 1500 ms`)
  expect(countsOf(first)).toEqual(AT_REST)
})

test('no more than a few requests wait for a member that hangs', () => {
  const cluster = SimulatedCluster.formed(3)
  const [first, second] = cluster.followers as [SimulatedNode, SimulatedNode]
  cluster.isolate(second)
  const flood = Array.from({ length: 3 * reportsMax }, () => first.requestReport(second))
  const others = Array.from({ length: reportsMax }, () => first.requestReport(cluster.leading))
  expect(countsOf(first)).toEqual({ waiting: 2 * reportsMax, making: 0 })
  settled(cluster, ...others)
  expect(others.every(({ code }) => code === 'ok')).toBe(true)
  settled(cluster, ...flood)
  expect(flood.map(({ code }) => code)).toEqual([
    ...Array(reportsMax).fill('not_ready'),
    ...Array(2 * reportsMax).fill('overloaded'),
  ])
  expect(problemOf(flood.at(-1) as Promised<Uint8Array>)).toBe(
    `overloaded: ${reportsMax} requests wait for ${second.name} on this node already`,
  )
  expect(countsOf(first)).toEqual(AT_REST)
  cluster.heal()
  cluster.converge()
  const again = first.requestReport(second)
  settled(cluster, again)
  expect(again.code).toBe('ok')
})

test.each([
  ['it crashes', (_: SimulatedCluster, node: SimulatedNode) => node.crash()],
  [
    'the connection breaks',
    (cluster: SimulatedCluster, node: SimulatedNode) => cluster.refuse(cluster.leading, node),
  ],
])('a request ends at once when %s, and later ones are not sent', (_, cut) => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  cluster.report = () => {}
  const waiting = leading.requestReport(follower)
  cluster.advance(100)
  expect(waiting.result).toBeUndefined()
  const at = cluster.time.now
  cut(cluster, follower)
  settled(cluster, waiting)
  const later = leading.requestReport(follower)
  expect(later.result).toBeUndefined()
  settled(cluster, later)
  expect(cluster.time.now - at).toBeLessThan(100)
  expect([waiting, later].map(problemOf)).toEqual(
    Array(2).fill(`not_ready: ${follower.name} is not connected with this node`),
  )
  expect(countsOf(leading)).toEqual(AT_REST)
})

test('a report that is too long, or cannot be made, is not sent', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  for (const [report, code] of [
    [bytes('x'.repeat(reportBytesMax)), 'ok'],
    [bytes('x'.repeat(reportBytesMax + 1)), 'not_ready'],
    [undefined, 'not_ready'],
  ] as const) {
    cluster.report = (_node, _kind, done) => done(report)
    const promised = follower.requestReport(leading)
    settled(cluster, promised)
    expect(promised.code).toBe(code)
    if (code !== 'ok') expect(problemOf(promised)).toBe(`not_ready: ${leading.name} cannot report now`)
  }
  expect(countsOf(leading)).toEqual(AT_REST)
})

test('a node makes no more than a few reports at a time', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, followers } = cluster
  const making: (() => void)[] = []
  cluster.report = (_node, _kind, done) => void making.push(() => done(bytes('late')))
  const asked = followers.flatMap((node) =>
    Array.from({ length: reportsMax }, () => node.requestReport(leading)),
  )
  cluster.advance(100)
  expect(countsOf(leading)).toEqual({ waiting: 0, making: reportsMax })
  for (const made of making) made()
  settled(cluster, ...asked)
  expect(asked.filter(({ code }) => code === 'ok').length).toBe(reportsMax)
  expect(asked.filter((each) => problemOf(each)?.includes('cannot report now')).length).toBe(reportsMax)
  expect(countsOf(leading)).toEqual(AT_REST)
})

test('a node that ends answers those that wait, and sends no request any more', () => {
  const cluster = SimulatedCluster.formed(3)
  const [first, second] = cluster.followers as [SimulatedNode, SimulatedNode]
  cluster.isolate(second)
  const { running } = first
  const waiting = first.requestReport(second)
  running.events.stop('stopped')
  settled(cluster, waiting)
  expect(waiting.code).toBe('not_ready')
  running.requestReport(second.id, 'status', 2000, () => {})
  expect(running.inspect()).toMatchObject({ 'reports.waiting': 0 })
})

test('a report that was made when its node has ended is dropped', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  let finish: (() => void) | undefined
  cluster.report = (_node, _kind, done) => {
    finish = () => done(bytes('late'))
  }
  const asked = leading.requestReport(follower)
  cluster.until(() => finish !== undefined)
  follower.running.events.stop('stopped')
  finish?.()
  settled(cluster, asked)
  expect(asked.code).toBe('not_ready')
})
