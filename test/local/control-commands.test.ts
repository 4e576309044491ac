// Commands for nodes of a local cluster, after one that has failed, and while the leader is paused.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { ClusterNodes } from '../../src/local/cluster/cluster-nodes.ts'
import { Failure } from '../../src/local/failure.ts'
import type { NodeView } from '../../src/local/node/node-view.ts'
import { ControlCommands } from '../../src/local/supervisor/control-commands.ts'

const NAMES = ['n1', 'n2', 'n3']
const viewOf = (role: NodeView['role']): NodeView => ({
  ...{ role, term: 3, leader: 'n2', notReady: [], errors: [] },
  members: NAMES.map((name) => ({ name, url: `http://${name}`, isVoter: true })),
})

let nodes: ReturnType<typeof nodeOf>[]
function nodeOf(name: string, dataDir: string) {
  return {
    ...{ name, dataDir, url: `http://${name}`, pid: 1, paused: false, ready: name !== 'n1', busy: false },
    ...{ requests: {}, stage: 'member', view: viewOf(name === 'n2' ? 'leader' : 'follower') },
    kill: vi.fn(async () => {}),
  }
}

/** The disk has no room for cluster.json. */
let isFull: boolean
let commands: ControlCommands
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-commands-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  nodes = NAMES.map((name) => nodeOf(name, join(dir, name)))
  isFull = false
  const cluster = {
    ...{ nodes, stopping: false, foreignNodes: () => undefined },
    async launch(node: (typeof nodes)[number]) {
      node.ready = true
    },
    becomesReady: async () => undefined,
    save() {
      if (isFull) throw new Failure(1, 'the disk is full')
    },
  }
  commands = new ControlCommands(cluster as unknown as ClusterNodes)
})

test('a rejoin that fails leaves room for the next one, of the same node and of another', async () => {
  const rejoin = (node: string) =>
    commands.execute({ command: 'rejoin', node, evenIfHealthy: true, authorization: undefined })
  isFull = true
  for (let time = 0; time < 2; time++) await expect(rejoin('n1')).rejects.toThrow('the disk is full')
  isFull = false
  for (const name of ['n1', 'n3', 'n1'])
    expect(await rejoin(name)).toMatchObject({
      ok: true,
      message: expect.stringContaining(`${name} is a voter`),
    })
})

test('a leader that is paused is no leader: another node is meant, or none', async () => {
  const [first, leader] = nodes
  if (first === undefined || leader === undefined) expect.fail()
  leader.paused = true
  expect(await commands.execute({ command: 'kill', node: 'leader' })).toMatchObject({
    ...{ ok: false, message: 'no node leads now' },
  })
  first.view = viewOf('leader')
  expect(await commands.execute({ command: 'kill', node: 'leader' })).toMatchObject({ ok: true })
  expect(first.kill).toHaveBeenCalledOnce()
  expect(leader.kill).not.toHaveBeenCalled()
})
