// The plan of a start, from its flags, cluster.json and the directories that hold data.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ClusterFile, Stage } from '../../src/local/directory/cluster-file.ts'
import { nodeNames, planFounding, planNodes } from '../../src/local/directory/plan.ts'
import { Failure } from '../../src/local/failure.ts'

const dataDir = '/data'
const unset = { dataDir, nodes: undefined, port: undefined }

const holding =
  (...names: string[]) =>
  (dir: string): boolean =>
    names.some((name) => dir === join(dataDir, name))

function file(clusterId: string | null, stage: Stage, count = 3): ClusterFile {
  const nodes = nodeNames(count).map((name, at) => ({
    name,
    url: `http://127.0.0.1:${8000 + at}`,
    pid: null,
    peer_port: 9000 + at,
    stage,
  }))
  return { format: 1, cluster_id: clusterId, supervisor: null, nodes }
}

test('without flags and files there are three new nodes from port 7301 on', () => {
  expect(planNodes(unset, undefined, holding())).toEqual([
    { name: 'n1', port: 7301, peerPort: 0, stage: 'new', tls: false },
    { name: 'n2', port: 7302, peerPort: 0, stage: 'new', tls: false },
    { name: 'n3', port: 7303, peerPort: 0, stage: 'new', tls: false },
  ])
})

test('a cluster continues with its nodes and ports; another first port moves all of them', () => {
  const there = file('7', 'member')
  const ports = (port: number | undefined) =>
    planNodes({ ...unset, port }, there, holding('n2')).map((node) => [node.port, node.peerPort, node.stage])
  expect(ports(undefined)).toEqual([8000, 8001, 8002].map((port) => [port, port + 1000, 'member']))
  expect(ports(80)).toEqual([80, 81, 82].map((port, at) => [port, 9000 + at, 'member']))
})

test('a plan without a node may be changed by flags, and applies otherwise', () => {
  const interrupted = file(null, 'new', 2)
  expect(planNodes(unset, interrupted, holding()).map(({ port }) => port)).toEqual([8000, 8001])
  expect(planNodes({ dataDir, nodes: 1, port: 80 }, interrupted, holding())).toEqual([
    { name: 'n1', port: 80, peerPort: 0, stage: 'new', tls: false },
  ])
  // n1 may have founded the cluster.
  expect(() => planNodes({ ...unset, nodes: 1 }, interrupted, holding('n1'))).toThrow('has 2 nodes, not 1')
})

test.each([
  ['the data of all nodes is lost', unset, file('7', 'member'), holding(), 1],
  ['cluster.json is lost', unset, undefined, holding('n3'), 1],
  ['the cluster has another size', { ...unset, nodes: 4 }, file('7', 'member'), holding('n1'), 2],
] as const)('a start is refused when %s', (_, wanted, there, holds, exitCode) => {
  const plan = (): unknown => planNodes(wanted, there, holds)
  expect(plan).toThrow(Failure)
  expect(plan).toThrow(expect.objectContaining({ exitCode }))
})

test('only a new node founds or joins, and only a replacement replaces', () => {
  const others = ['http://127.0.0.1:8001']
  const joins = { kind: 'join', urls: others, clusterId: '7' }
  expect(planFounding({ stage: 'new', founds: true }, others, '7')).toEqual({
    kind: 'bootstrap',
    clusterId: '7',
  })
  expect(planFounding({ stage: 'new', founds: false }, others, '7')).toEqual({ ...joins, replace: false })
  expect(planFounding({ stage: 'replacing', founds: false }, others, '7')).toEqual({
    ...joins,
    replace: true,
  })
  expect(planFounding({ stage: 'member', founds: false }, others, '7')).toEqual({ kind: 'existing' })
  expect(planFounding({ stage: 'new', founds: false }, [], '7')).toEqual({ kind: 'existing' })
})
