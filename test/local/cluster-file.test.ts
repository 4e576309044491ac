// cluster.json with other content than the supervisor wrote: after a disk fault, or edited by a user.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type ClusterFile,
  readClusterFile,
  writeClusterFile,
} from '../../src/local/directory/cluster-file.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-file-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const whole: ClusterFile = {
  format: 1,
  cluster_id: '7',
  supervisor: { pid: 12, control: 'tcp://127.0.0.1:4000', token: 'secret' },
  nodes: [{ name: 'n1', url: 'http://127.0.0.1:7301', pid: 13, peer_port: 4001, stage: 'member' }],
}

test('reads what was written', () => {
  writeClusterFile(dir, whole)
  expect(readClusterFile(dir)).toEqual(whole)
})

const supervisor = whole.supervisor
const node = whole.nodes[0]
test.each([
  ['nothing', ''],
  ['zeros', '\0'.repeat(512)],
  ['half of the file', JSON.stringify(whole).slice(0, 100)],
  ['another kind of file', '{"name":"app"}'],
  ['an older format', JSON.stringify({ ...whole, format: 0 })],
  ['no nodes', JSON.stringify({ ...whole, nodes: [] })],
  ['a node elsewhere', JSON.stringify({ ...whole, nodes: [{ ...node, name: '../n1' }] })],
  ['a node without a port', JSON.stringify({ ...whole, nodes: [{ ...node, url: 'http://127.0.0.1' }] })],
  [
    'a node at an impossible port',
    JSON.stringify({ ...whole, nodes: [{ ...node, url: 'http://127.0.0.1:70000' }] }),
  ],
  ['no control address', JSON.stringify({ ...whole, supervisor: { ...supervisor, control: 'here' } })],
  ['an impossible process', JSON.stringify({ ...whole, supervisor: { ...supervisor, pid: -1 } })],
])('%s: the file is reported as damaged, with the ways out', (_, text) => {
  writeFileSync(join(dir, 'cluster.json'), text)
  expect(() => readClusterFile(dir)).toThrow(
    /cluster\.json is damaged; .* copy .*quorate node start, .*delete /,
  )
})

test('a file of a newer version is not reported as damaged', () => {
  writeFileSync(join(dir, 'cluster.json'), JSON.stringify({ ...whole, format: 2 }))
  expect(() => readClusterFile(dir)).toThrow(/newer version .*format 2/)
})

test('a partial write does not replace a complete file', () => {
  writeClusterFile(dir, whole)
  const module = join(import.meta.dirname, '../../src/local/directory/cluster-file.ts')
  const larger = { ...whole, nodes: Array.from({ length: 9 }, () => whole.nodes[0]) }
  // A limit on the size of files cuts a write short, as an almost full disk does.
  const script = `import { writeClusterFile } from ${JSON.stringify(module)}
    writeClusterFile(${JSON.stringify(dir)}, ${JSON.stringify(larger)})`
  const command = 'ulimit -f 1; exec "$0" --input-type=module -e "$1"'
  const { stderr } = spawnSync('/bin/sh', ['-c', command, process.execPath, script], { encoding: 'utf8' })
  expect(stderr).toContain('cluster.json: file too large')
  expect(readClusterFile(dir)).toEqual(whole)
})
