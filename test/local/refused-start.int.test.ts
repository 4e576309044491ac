// Starts that cannot work here: what is in the way is said in words, with a way out.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeDirectories } from '../../src/files/durable.ts'
import { CLUSTER_VERSION, encodeState, initialState } from '../../src/kv/index.ts'
import { emptyConfiguration, encodeAppliedState } from '../../src/raft/index.ts'
import { formatStorage } from '../../src/storage/index.ts'
import { identity, initial } from '../storage/samples.ts'
import { KV, outcomeOf, Workspace } from './kv.ts'

/** Runs a shell command in which $kv is the command. */
function shell(space: Workspace, command: string) {
  const env = { ...process.env, NO_COLOR: '1', KV_ENDPOINTS: '', kv: `${process.execPath} ${KV}` }
  return outcomeOf(spawn('sh', ['-c', command], { cwd: space.dir, env }))
}

const canMount = (() => {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

test.runIf(canMount)(
  'a read-only file system is called that, wherever a directory is to be made',
  async () => {
    const space = await Workspace.open()
    const all = `
    mkdir empty && mount -t tmpfs -o ro tmpfs empty
    for flags in "" --detach; do $kv cluster start --port ${space.port} --data empty/c $flags; done
    $kv cluster start --port ${space.port} --data empty --detach
    $kv node start --name n1 --data empty/n1 --listen 127.0.0.1:0 --peer-listen 127.0.0.1:0 --bootstrap
    $kv cluster start --port ${space.port} --data empty`
    const { stderr } = await shell(space, `unshare -m sh -c '${all}'`)
    const lines = stderr.trim().split('\n')
    const made =
      /^error: The directory of the cluster, .*\/empty\/c, cannot be made: read-only file system\. --data DIR/
    expect(lines).toEqual([
      expect.stringMatching(made),
      expect.stringMatching(made),
      expect.stringMatching(/^error: .*\/empty\/supervisor\.log cannot be written: read-only file system\.$/),
      expect.stringMatching(/read-only file system/),
      expect.stringMatching(
        /^error: .*\/empty\/supervisor\.lock cannot be written: read-only file system\.$/,
      ),
    ])
  },
)

test('a file in the place of the directory is called that', async () => {
  const space = await Workspace.open()
  writeFileSync(join(space.dir, 'file'), '')
  for (const data of ['file', 'file/below']) {
    const { code, stderr } = await space.kv('cluster', 'start', '--data', data, '--detach')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*\/file(\/below)?, cannot be made: not a directory\. --data DIR.*\n$/)
  }
})

test('with too few open files nothing is started, and the limit is named', async () => {
  const space = await Workspace.open()
  for (const [limit, flags] of [
    [32, ''],
    [32, '--detach'],
    [200, '--nodes 9'],
  ]) {
    const { code, stderr } = await shell(
      space,
      `ulimit -n ${limit}; $kv cluster start --port ${space.port} ${flags}`,
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(
      new RegExp(`^error: This process may have ${limit} open files, .*: ulimit -n 4096\\n$`),
    )
    expect(existsSync(space.path('n1'))).toBe(false)
  }
})

test('an address where a node cannot listen is named with its flag', async () => {
  const space = await Workspace.open()
  const other = createServer().listen(space.port, '127.0.0.1')
  onTestFinished(() => void other.close())
  const taken = `127.0.0.1:${space.port}`
  const start = async (listen: string, peerListen: string): Promise<string> => {
    const flags = ['--name', 'n1', '--data', 'n1', '--listen', listen, '--peer-listen', peerListen]
    const { code, stderr } = await space.kv('node', 'start', ...flags, ...founding(), '--insecure')
    expect(code).toBe(1)
    return stderr.trim().split('\n').at(-1) ?? ''
  }
  const founding = (): string[] => (existsSync(join(space.dir, 'n1')) ? [] : ['--bootstrap'])
  const inUse = 'address already in use; end the program that listens there, or choose another port'
  expect(await start(taken, '127.0.0.1:0')).toBe(`error: cannot listen on ${taken} (--listen): ${inUse}`)
  expect(await start('127.0.0.1:0', taken)).toBe(`error: cannot listen on ${taken} (--peer-listen): ${inUse}`)
  // An address for documentation (RFC 5737).
  expect(await start('192.0.2.7:7301', '127.0.0.1:0')).toMatch(
    /^error: cannot listen on 192\.0\.2\.7:7301 \(--listen\): address not available; .*--advertise-url/,
  )
})

test('directories are made from the top, and the topmost new one is told', () => {
  const top = mkdtempSync(join(tmpdir(), 'quorate-directories-'))
  onTestFinished(() => rmSync(top, { recursive: true }))
  expect(makeDirectories(join(top, 'a/b/c'))).toBe(join(top, 'a'))
  expect(makeDirectories(join(top, 'a/b/d/e'))).toBe(join(top, 'a/b/d'))
  expect(makeDirectories(join(top, 'a/b'))).toBeUndefined()
  expect(makeDirectories('/')).toBeUndefined()
  writeFileSync(join(top, 'file'), '')
  expect(() => makeDirectories(join(top, 'file'))).toThrow('ENOTDIR')
  expect(() => makeDirectories(join(top, 'file/below'))).toThrow('ENOTDIR')
})

test('where the system allows no directory, its reason is told', async () => {
  const space = await Workspace.open()
  // On Linux it calls every new name in /proc missing, although /proc is there.
  const missing = /no such file or directory|not permitted|permission denied|read-only/
  for (const data of ['/proc/c', '/proc/a/b']) {
    const { code, stderr } = await space.kv('cluster', 'start', '--data', data, '--detach')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: The directory of the cluster, .*, cannot be made: .* --data DIR.*\n$/)
    expect(stderr).toMatch(missing)
  }
  expect(() => makeDirectories('')).toThrow('ENOENT')
})

test('a file in the place of a directory is named', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'quorate-directories-')), 'file')
  onTestFinished(() => rmSync(dirname(file), { recursive: true }))
  writeFileSync(file, '')
  expect(() => makeDirectories(file)).toThrow(expect.objectContaining({ code: 'ENOTDIR', path: file }))
})

test('a directory of a newer version is called that, and stays as it is', async () => {
  const space = await Workspace.open()
  const kv = encodeState(initialState())
  kv[0] = CLUSTER_VERSION + 1
  const raft = encodeAppliedState({
    configuration: emptyConfiguration,
    leases: { on: false, durationMs: 500 },
  })
  await formatStorage(join(space.dir, 'n1'), identity, {
    ...initial,
    applied: { ...initial.applied, kv, raft },
  })
  const addresses = ['--listen', `127.0.0.1:${space.port}`, '--peer-listen', '127.0.0.1:0']
  const start = () => space.kv('node', 'start', '--name', identity.name, '--data', 'n1', ...addresses)
  for (let times = 0; times < 2; times++) {
    const { code, stderr, stdout } = await start()
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringMatching(
        new RegExp(
          `^error: .*/n1: the state has layout ${CLUSTER_VERSION + 1}, and this version of quorate knows 1 to ${CLUSTER_VERSION}: a newer version wrote it\\. Start this node with that version\\. Its data was not changed$`,
        ),
      ),
    ])
  }
})
