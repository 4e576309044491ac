// `kv node setup` in a directory that stands for the root of a machine.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import {
  makeAuthority,
  makeClientCertificate,
  makeNodeCertificate,
} from '../../src/certificates/directory.ts'
import { directoryStep, fileStep } from '../../src/cli/setup/steps.ts'
import { runningPrograms } from '../../src/cli/setup/unit.ts'
import { startCluster } from '../../src/index.ts'
import { readIdentityIfFormatted } from '../../src/server/replica/inspect-data-directory.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { kv } from './run-kv.ts'

const HOST = { host: '127.0.0.1', port: 0 }
let top: string
let root: string
let pem: Readonly<Record<'n1' | 'n2' | 'shop' | 'old' | 'foreign', string>>
let count = 0
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'quorate-setup-'))
  const dir = join(top, 'certs')
  const other = join(top, 'other')
  for (const each of [dir, other]) makeAuthority(each, { name: 'test', days: 10 })
  for (const [at, name] of ['n1', 'n2'].entries())
    makeNodeCertificate(dir, { name, hosts: [`10.77.0.${at + 1}`], days: 5 })
  makeNodeCertificate(dir, { name: 'old', hosts: ['10.77.0.1'], days: -1 })
  makeNodeCertificate(other, { name: 'n1', hosts: ['10.77.0.1'], days: 5 })
  makeClientCertificate(dir, { user: 'shop', days: 5 })
  const read = (path: string): string => readFileSync(path, 'utf8')
  const bundle = (name: string, from = dir): string =>
    `${read(join(dir, 'ca.crt'))}${read(join(from, `${name}.crt`))}${read(join(from, `${name}.key`))}`
  pem = {
    ...{ n1: bundle('n1'), n2: bundle('n2'), shop: bundle('shop') },
    old: bundle('old'),
    foreign: bundle('n1', other),
  }
})
beforeEach(() => {
  root = join(top, `machine${count++}`)
})
afterAll(() => rmSync(top, { recursive: true, force: true }))

const setUp = (args: readonly string[], stdin = '') =>
  kv(['node', 'setup', '--root', root, ...args], { stdin })
const N1 = ['--name', 'n1', '--host', '10.77.0.1', '--certs', '-']
const N2 = [
  '--name',
  'n2',
  '--host',
  '10.77.0.2',
  '--certs',
  '-',
  '--join',
  'https://10.77.0.1:7301,https://10.77.0.3:7301',
]
const text = (path: string): string => readFileSync(join(root, path), 'utf8')
const modeOf = (path: string): string => (statSync(join(root, path)).mode & 0o777).toString(8)
/** Every file with its content, its mode and the time of its last change. */
const treeOf = () =>
  readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name)
    const { mode, mtimeNs } = statSync(path, { bigint: true })
    return [path, mode, entry.isFile() ? [mtimeNs, readFileSync(path, 'base64')] : []]
  })

/** Paths of this clone and of this run, as they are on a machine. */
function plain(output: string): string {
  const { node, quorate } = runningPrograms()
  return output
    .replaceAll(root, '')
    .replaceAll(node, '/usr/local/bin/node')
    .replaceAll(quorate, '/usr/local/lib/node_modules/quorate')
}

test('--dry-run shows everything, and makes nothing', async () => {
  const { code, out } = await setUp([...N2, '--backup-to', 's3://backups/q', '--dry-run'], pem.n2)
  expect(code).toBe(0)
  await expect(plain(out)).toMatchFileSnapshot('golden/node-setup.txt')
  expect(out).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE/)
  expect(existsSync(root)).toBe(false)
})

test('the first node is founded, another one joins, and a second run changes nothing', async () => {
  const first = await setUp([...N1, '--bootstrap', '--backup-to', '/backup/quorate'], pem.n1)
  expect(first).toMatchObject({
    code: 0,
    err: expect.stringContaining('start it: systemctl enable --now quorate'),
  })
  expect(readIdentityIfFormatted(join(root, 'var/lib/quorate/data'))).toMatchObject({ name: 'n1' })
  expect(text('etc/quorate/quorate.env')).toMatch(
    /^NAME=n1\nHOST=10.77.0.1\nJOIN=\nMETRICS=--metrics-listen=127.0.0.1:7501\nBACKUP=--backup-to=\/backup\/quorate --backup-every=1h --backup-keep=24\nFLAGS=\n$/m,
  )
  expect(text('etc/systemd/system/quorate.service')).toContain('\nReadWritePaths=-/backup/quorate\n')
  const modes = [
    'etc/quorate',
    'var/lib',
    'var/lib/quorate',
    'backup/quorate',
    'etc/quorate/node.key',
    'etc/quorate/node.crt',
  ]
  expect(modes.map(modeOf)).toEqual(['755', '755', '700', '700', '600', '644'])
  const before = treeOf()
  for (const again of [[], [...N1, '--bootstrap']]) {
    const second = await setUp(again, pem.n1)
    expect(second).toMatchObject({
      code: 0,
      err: expect.stringContaining('nothing to change: this machine has node n1'),
    })
    expect(treeOf()).toEqual(before)
  }
})

test('flags that are given change their lines, and what an operator has added stays', async () => {
  await setUp(N2, pem.n2)
  const path = join(root, 'etc/quorate/quorate.env')
  writeFileSync(
    path,
    `# ours\n${readFileSync(path, 'utf8').replace('FLAGS=', 'FLAGS=--log-level=debug')}NODE_OPTIONS=--max-old-space-size=900\n`,
  )
  const changed = await setUp(['--backup-to', 's3://b/$&', '--backup-every', '2h'])
  expect(changed.code).toBe(2)
  expect(
    await setUp([
      ...['--backup-to', 's3://b/x', '--backup-every', '2h'],
      ...['--metrics-listen', '10.77.0.2:7501,[::1]:7501'],
    ]),
  ).toMatchObject({
    code: 0,
    err: expect.stringMatching(/AWS_ACCESS_KEY_ID.*backup.env[\s\S]*systemctl restart quorate/),
  })
  expect(text('etc/quorate/quorate.env')).toBe(`# ours
# The node of this machine. \`quorate node setup\` makes this file, and keeps what you add. FLAGS has further flags of
# \`quorate node start\`. After a change: systemctl restart quorate
NAME=n2
HOST=10.77.0.2
JOIN=--join=https://10.77.0.1:7301,https://10.77.0.3:7301
METRICS=--metrics-listen=10.77.0.2:7501 --metrics-listen=[::1]:7501
BACKUP=--backup-to=s3://b/x --backup-every=2h --backup-keep=24
FLAGS=--log-level=debug
NODE_OPTIONS=--max-old-space-size=900
`)
})

test('a run that was interrupted is repeated; a machine whose data is lost founds no second cluster', async () => {
  await using cluster = await startCluster({ nodes: 1 })
  await setUp([...N1, '--bootstrap'], pem.n1)
  // Before the last step.
  rmSync(join(root, 'etc/quorate/quorate.env'))
  rmSync(join(root, 'etc/systemd'), { recursive: true })
  const clusterId = readIdentityIfFormatted(join(root, 'var/lib/quorate/data'))?.clusterId
  expect((await setUp([...N1, '--bootstrap'], pem.n1)).code).toBe(0)
  expect(readIdentityIfFormatted(join(root, 'var/lib/quorate/data'))?.clusterId).toBe(clusterId)
  renameSync(join(root, 'var/lib/quorate/data'), join(top, 'lost'))
  const before = treeOf()
  const again = await setUp(['--bootstrap'])
  expect(again).toMatchObject({
    code: 2,
    err: expect.stringContaining('founded its cluster before, and its data is gone'),
  })
  expect(treeOf()).toEqual(before)
  // A node that was ended while it formatted its directory, and one that runs.
  const replace = ['--replace', '--join', 'https://10.77.0.2:7301']
  const data = join(root, 'var/lib/quorate/data')
  mkdirSync(data)
  for (const file of ['FORMATTING', 'LOCK', '000003.log']) writeFileSync(join(data, file), '')
  expect((await setUp([...replace, '--dry-run'])).code).toBe(0)
  rmSync(data, { recursive: true })
  const waiting = await startNode({
    ...{ name: 'n1', dataDir: data, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'bootstrap' },
  })
  expect(await setUp(replace)).toMatchObject({
    code: 2,
    err: expect.stringContaining(`a node runs on ${data}; stop it first: systemctl stop quorate`),
  })
  await waiting.stop()
  rmSync(data, { recursive: true, force: true })
  // A node that the cluster did not accept leaves a replica that was never a member.
  const node = await startNode({
    ...{ name: 'n1', dataDir: join(root, 'var/lib/quorate/data'), listen: HOST, peerListen: HOST },
    ...{
      diskReserveBytes: 0,
      founding: { kind: 'join', urls: [cluster.endpoints[0] ?? ''], replace: false },
    },
  })
  expect(await node.ended).toMatchObject({ kind: 'failed', usage: true })
  expect((await setUp(replace)).code).toBe(0)
  expect(text('run/quorate-replace.env')).toBe('REPLACE=--replace\n')
  expect(text('etc/quorate/quorate.env')).toContain('\nJOIN=--join=https://10.77.0.2:7301\n')
})

test('the flags of the unit are those of the environment file', async () => {
  await setUp([...N2, '--backup-to', '/backup/q'], pem.n2)
  await setUp(['--replace'])
  const unit = text('etc/systemd/system/quorate.service')
  const files = [...unit.matchAll(/^EnvironmentFile=-?(.*)$/gm)].map(([, path = '']) => join(root, path))
  const command = /^ExecStart=((?:.*\\\n)*.*)$/m.exec(unit)?.[1]?.replaceAll('\\\n', '') ?? ''
  const script = `set -a; for f in ${files.join(' ')}; do if [ -e $f ]; then . $f; fi; done; printf '%s\\n' ${command}`
  // The shell would take the values for assignments and commands.
  for (const path of files)
    if (existsSync(path)) writeFileSync(path, readFileSync(path, 'utf8').replace(/^(\w+)=(.*)$/gm, "$1='$2'"))
  const [node, program, ...args] = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
    .trimEnd()
    .split('\n')
  expect(node).toBe(runningPrograms().node)
  expect(existsSync(program ?? '')).toBe(true)
  expect(args.slice(0, 10)).toEqual([
    ...['node', 'start', '--name', 'n2', '--data', '/var/lib/quorate/data'],
    ...['--listen', '10.77.0.2:7301', '--peer-listen', '10.77.0.2:7401'],
  ])
  expect(args.slice(-6)).toEqual([
    '--join=https://10.77.0.1:7301,https://10.77.0.3:7301',
    '--metrics-listen=127.0.0.1:7501',
    ...['--backup-to=/backup/q', '--backup-every=1h', '--backup-keep=24', '--replace'],
  ])
})

test('what is wrong is refused with exit code 2, before anything is made', async () => {
  const refused: readonly (readonly [readonly string[], string, string])[] = [
    [['--host', 'h', '--bootstrap'], '', 'a new node needs --name and --host'],
    [['--name', 'n1', '--host', '10.77.0.1'], '', 'give --bootstrap for the first node'],
    [[...N1, '--bootstrap', '--join', 'https://h:1'], pem.n1, 'give one of them'],
    [[...N1, '--bootstrap', '--start'], pem.n1, '--start starts the node of this machine'],
    [['--name', 'n1', '--host', '10.77.0.1', '--bootstrap'], '', 'cat certs/ca.crt certs/NAME.crt'],
    [
      [...N1, '--replace', '--join', 'https://h:1'],
      pem.n1,
      '--replace is for a machine that was set up before',
    ],
    [[...N1, '--bootstrap', '--backup-to', 'backups'], pem.n1, 'must be an absolute path'],
    [[...N1, '--bootstrap', '--backup-to', '/a b'], pem.n1, 'may have no spaces'],
    [[...N1, '--bootstrap', '--backup-every', '1h'], pem.n1, 'need --backup-to'],
    [[...N1, '--host', '0.0.0.0', '--bootstrap'], pem.n1, 'an address or a name of this machine'],
    [[...N1, '--bootstrap'], pem.n2, 'is for DNS:n2, IP Address:10.77.0.2, not for 10.77.0.1'],
    [[...N1, '--bootstrap'], pem.old, 'has ended at'],
    [[...N1, '--bootstrap'], pem.foreign, 'none of the CAs has signed the certificate'],
    [[...N1, '--bootstrap'], pem.shop, 'not for 10.77.0.1'],
    [[...N1, '--bootstrap'], 'nothing', 'no private key in PEM'],
    [[...N1, '--bootstrap'], pem.n1 + pem.n2, 'more than one private key'],
    [
      [...N1, '--bootstrap'],
      pem.n1.replace(/-+BEGIN CERT[\s\S]*?END CERTIFICATE-+\n/g, ''),
      'no certificate belongs',
    ],
    [
      [...N1, '--bootstrap'],
      pem.n1.replace(/-+BEGIN CERT[\s\S]*?END CERTIFICATE-+\n/, ''),
      'no certificate of a CA',
    ],
  ]
  for (const [args, stdin, reason] of refused) {
    const { code, err } = await setUp(args, stdin)
    expect([code, err], args.join(' ')).toEqual([2, expect.stringContaining(reason)])
    expect(existsSync(root), reason).toBe(false)
  }
  await setUp([...N1, '--bootstrap'], pem.n1)
  const before = treeOf()
  for (const [args, reason] of [
    [['--name', 'n2'], 'this machine has node n1 at 10.77.0.1'],
    [['--host', '10.77.0.2'], 'this machine has node n1 at 10.77.0.1'],
    [['--replace'], '--replace needs --join'],
    [['--replace', '--join', 'https://10.77.0.2:7301'], 'still has data'],
  ] as const) {
    expect(await setUp(args)).toMatchObject({ code: 2, err: expect.stringContaining(reason) })
    expect(treeOf(), reason).toEqual(before)
  }
})

test('a link in a directory that another user can change is named, and not followed', async () => {
  await setUp([...N1, '--bootstrap', '--backup-to', '/backup/a/q'], pem.n1)
  chmodSync(join(root, 'backup'), 0o777)
  mkdirSync(join(root, 'etc/important/q'), { recursive: true, mode: 0o755 })
  const link = join(root, 'backup/a')
  renameSync(link, join(root, 'backup/b'))
  symlinkSync(join(root, 'etc/important'), link)
  const before = treeOf()
  expect(await setUp([])).toMatchObject({
    code: 1,
    err: expect.stringContaining(
      `error: ${link} is a link in a directory that other users can change, and it is not followed; remove the link, or use a path without it\n`,
    ),
  })
  expect(treeOf()).toEqual(before)
  // The last component, and a link that leads nowhere.
  rmSync(link)
  mkdirSync(link)
  for (const target of [join(root, 'etc/important'), join(root, 'missing')]) {
    symlinkSync(target, join(link, 'q'))
    expect((await setUp([])).err).toContain(`error: ${join(link, 'q')} is a link`)
    expect([modeOf('etc/important'), existsSync(join(root, 'missing'))]).toEqual(['755', false])
    rmSync(join(link, 'q'))
  }
})

test('a link that takes the place of a directory or of a new file after the check is not followed', async () => {
  const dir = join(root, 'open')
  mkdirSync(join(dir, 'a'), { recursive: true })
  chmodSync(dir, 0o777)
  const important = join(root, 'important')
  mkdirSync(important, { mode: 0o755 })
  writeFileSync(join(important, 'file'), 'important')
  const owner = () => undefined
  const directory = directoryStep({ path: join(dir, 'a'), mode: 0o700, owner })
  const file = fileStep({ path: join(dir, 'file'), content: 'new', mode: 0o600, owner })
  const below = fileStep({ path: join(dir, 'a/file'), content: 'new', mode: 0o600, owner })
  rmSync(join(dir, 'a'), { recursive: true })
  symlinkSync(important, join(dir, 'a'))
  for (const name of ['file', 'file.new']) symlinkSync(join(important, 'file'), join(dir, name))
  for (const step of [directory, below]) expect(() => step.run()).toThrow(`${join(dir, 'a')} is a link`)
  await file.run()
  expect(text('open/file')).toBe('new')
  expect([modeOf('important'), modeOf('open/file'), text('important/file')]).toEqual([
    '755',
    '600',
    'important',
  ])
})

test('another system is refused', async () => {
  const platform = vi.spyOn(process, 'platform', 'get').mockReturnValue('darwin')
  onTestFinished(() => platform.mockRestore())
  expect(await kv(['node', 'setup', ...N1, '--bootstrap', '--dry-run'], { stdin: pem.n1 })).toMatchObject({
    code: 2,
    err: expect.stringContaining('this is for Linux with systemd'),
  })
})

test('systemd accepts the unit', async () => {
  await setUp([...N2, '--backup-to', '/backup/q'], pem.n2)
  const { error, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', join(root, 'etc/systemd/system/quorate.service')],
    {
      encoding: 'utf8',
    },
  )
  // Not every machine has it. Other units of the machine may have their own faults.
  expect(
    error === undefined ? stderr.split('\n').filter((line) => line.includes('quorate.service')) : [],
  ).toEqual([])
})
