// The status of a local cluster, from the reports of its nodes.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { clusterStatus } from '../../src/local/cluster/cluster-status.ts'
import type { NodeReport } from '../../src/local/node/node-view.ts'
import { SupervisedNode } from '../../src/local/node/supervised-node.ts'

const node = (name: string, report: Pick<NodeReport, 'role' | 'leader' | 'term'>) => ({
  ...{ name, pid: 1 as number | undefined, paused: false, url: 'http://127.0.0.1:1' },
  report: async () => ({ ...report, commitIndex: 7, appliedIndex: 6, revision: 3 }),
})

test('the leader is that of the highest term, also one that was started by hand', async () => {
  const nodes = [
    node('n1', { role: 'leader', leader: 'n1', term: 3 }),
    node('n2', { role: 'follower', leader: 'n4', term: 4 }),
    node('n3', { role: 'follower', leader: undefined, term: 4 }),
  ]
  for (const each of [nodes, nodes.toReversed()])
    expect(await clusterStatus('7', each)).toMatchObject({ leader: 'n4', term: 4 })
  // A local node that is named but does not lead any more.
  const renamed = nodes.map((each) => (each.name === 'n3' ? { ...each, name: 'n4' } : each))
  expect((await clusterStatus('7', renamed)).leader).toBeUndefined()
})

test('a report counts while the process runs', async () => {
  const ending = node('n1', { role: 'leader', leader: 'n1', term: 2 })
  const { report } = ending
  ending.report = () => {
    ending.pid = undefined
    return report()
  }
  expect(await clusterStatus('7', [ending])).toMatchObject({
    ...{ leader: undefined, term: undefined },
    nodes: [
      { state: 'stopped', role: undefined, term: undefined, commitIndex: undefined, revision: undefined },
    ],
  })
})

test('a node whose process does not answer is unreachable', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-status-'))
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
    rmSync(dir, { recursive: true })
  })
  process.execPath = join(dir, 'silent')
  writeFileSync(process.execPath, '#!/bin/sh\nexec sleep 60\n')
  chmodSync(process.execPath, 0o700)
  const silent = new SupervisedNode({ name: 'n1', port: 1, peerPort: 0, stage: 'new' }, dir, () => {})
  expect((await clusterStatus('7', [silent])).nodes).toMatchObject([{ state: 'stopped', pid: undefined }])
  silent.start({ kind: 'existing' }, {})
  expect((await clusterStatus('7', [silent])).nodes).toMatchObject([
    { state: 'unreachable', pid: silent.pid },
  ])
  await silent.kill()
})
