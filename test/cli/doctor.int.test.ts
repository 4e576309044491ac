// kv doctor: a stopped data directory is checked, and not changed.

import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Level } from 'level'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster } from '../../src/embed/index.ts'
import { META_KEY, rowPrefix } from '../../src/storage/keys.ts'
import { decodeMeta, encodeMeta } from '../../src/storage/records.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { filesOf, sameFiles } from '../storage/files.ts'
import { kv } from './run-kv.ts'

const template = mkdtempSync(join(tmpdir(), 'quorate-doctor-'))
beforeAll(async () => {
  const cluster = await startCluster({ nodes: 1, dataDir: template })
  await cluster.client().put('k', 'v')
  await cluster.node('n1').stop()
  await cluster.close()
})
afterAll(() => rmSync(template, { recursive: true }))

/** The directory of a stopped node with a key. */
function stoppedNode(): string {
  const dataDir = temporaryDirectory()
  cpSync(template, dataDir, { recursive: true })
  return join(dataDir, 'n1')
}

interface Report {
  readonly ok: boolean
  readonly checks: readonly { readonly check: string; readonly result: string; readonly detail: string }[]
  readonly replica: unknown
}

/** The report, and whether the directory is as before. */
async function checked(dir: string): Promise<{ code: number | null; report: Report; same: boolean }> {
  const before = filesOf(dir)
  const { code, out } = await kv(['doctor', dir, '-o', 'json'])
  return { code, report: JSON.parse(out), same: sameFiles(before, filesOf(dir)) }
}

const problemsOf = ({ checks }: Report) =>
  checks.filter(({ result }) => result === 'problem').map(({ check, detail }) => [check, detail])

test('a sound directory: every check is named, and neither doctor nor inspect changes it', async () => {
  const dir = stoppedNode()
  const { code, report, same } = await checked(dir)
  expect([code, same, report.ok]).toEqual([0, true, true])
  expect(report.checks.map(({ check }) => check)).toEqual([
    'leftovers',
    'identity',
    'permissions',
    'disk',
    'lock',
    'files',
    'log',
    'rows',
    'members',
  ])
  expect(report.replica).toMatchObject({ name: 'n1', keys: 1, revision: 2, members: [{ name: 'n1' }] })
  const before = filesOf(dir)
  expect(await kv(['inspect', dir])).toMatchObject({ code: 0 })
  expect(sameFiles(before, filesOf(dir))).toBe(true)
})

test('a changed byte in a file with one copy of its data is found, and nothing is repaired', async () => {
  const dir = stoppedNode()
  for (const [name, content] of filesOf(dir)) {
    if (content.length === 0 || /^LOG|^WATERMARK|ldb$/.test(name)) continue
    const damaged = Buffer.from(content)
    damaged.writeUInt8(damaged.readUInt8(3) ^ 4, 3)
    writeFileSync(join(dir, name), damaged)
    const { code, report, same } = await checked(dir)
    expect([name, code, same, problemsOf(report)]).toEqual([
      ...[name, 1, true],
      [[name === 'IDENTITY' ? 'identity' : 'files', expect.stringContaining(dir)]],
    ])
    writeFileSync(join(dir, name), content)
  }
})

test('a changed byte in the data of a table is found, also where no row is read', async () => {
  const dir = stoppedNode()
  // The next start writes the log of LevelDB to a table.
  await (await startCluster({ nodes: 1, dataDir: dirname(dir) })).close()
  expect((await checked(dir)).code).toBe(0)
  const [name = '', table = Buffer.alloc(0)] = [...filesOf(dir)].find(([name]) => name.endsWith('.ldb')) ?? []
  const damaged = Buffer.from(table)
  damaged.writeUInt8(damaged.readUInt8(20) ^ 4, 20)
  writeFileSync(join(dir, name), damaged)
  const { code, report, same } = await checked(dir)
  const detail = expect.stringContaining(`${join(dir, name)} is damaged: its data block at byte 0 is damaged`)
  expect([code, same, problemsOf(report)]).toEqual([1, true, [['files', detail]]])
})

test('a row that is gone although all files are whole is found by the state hash', async () => {
  const dir = stoppedNode()
  const db = new Level<Uint8Array, Uint8Array>(dir, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  const { meta, sequence } = decodeMeta((await db.get(META_KEY)) ?? new Uint8Array())
  const rows = await db.keys({ gte: rowPrefix(meta.generation), limit: 1 }).all()
  const changes = db.batch()
  for (const key of rows) changes.del(key)
  changes.put(META_KEY, encodeMeta(meta, sequence + changes.length + 1))
  await changes.write({ sync: true })
  await db.close()
  const { code, report, same } = await checked(dir)
  expect([code, same, problemsOf(report)]).toEqual([1, true, [['files', expect.stringMatching(/gone/)]]])
})

test('a directory in use, an empty one, and what an interruption leaves, with the next step', async () => {
  const dataDir = temporaryDirectory()
  const cluster = await startCluster({ nodes: 1, dataDir })
  const used = await kv(['doctor', join(dataDir, 'n1')])
  await cluster.close()
  expect([used.code, used.out]).toEqual([1, expect.stringMatching(/^problem\tlock\t.*status --all$/m)])
  mkdirSync(join(dataDir, 'n1.recovered'))
  expect((await kv(['doctor', join(dataDir, 'n1')])).out).toMatch(
    /^warning\tleftovers\t.*recover --data .* --yes-lose-data and the flags of then, or delete that directory$/m,
  )
  const dir = join(dataDir, 'other')
  const detail = async () => (await kv(['doctor', dir])).out
  expect(await detail()).toMatch(/^problem\tdirectory\t.* does not exist/)
  mkdirSync(`${dir}.recovered`)
  expect(await detail()).toMatch(/^problem\tdirectory\t.*recover --data .*other --yes-lose-data$/m)
  mkdirSync(dir)
  // Something has made it again between the renames of a recovery. No new node belongs there.
  const again = await detail()
  expect(again).toMatch(/^warning\tleftovers\t.*recover --data/)
  expect(again).toMatch(/^problem\tidentity\t.*recover --data .*other --yes-lose-data$/m)
  expect(again).not.toContain('--bootstrap')
  rmSync(`${dir}.recovered`, { recursive: true })
  expect(await detail()).toMatch(/^problem\tidentity\tit is empty; .*--join URL, or with: quorate restore$/m)
  writeFileSync(join(dir, 'FORMATTING'), '')
  expect(await detail()).toMatch(/^problem\tidentity\t.* was interrupted .*repeat the same command$/m)
  expect(readFileSync(join(dir, 'FORMATTING'), 'utf8')).toBe('')
})

test('a volume with lost+found, whose mount point belongs to root, is well; a file of another user in it is not', async () => {
  const dir = stoppedNode()
  // Only root can give files away.
  const giveAway = process.getuid?.() === 0 ? chownSync : () => {}
  for (const name of filesOf(dir).keys()) giveAway(join(dir, name), 65532, 65532)
  mkdirSync(join(dir, 'lost+found'))
  symlinkSync('nowhere', join(dir, 'link'))
  const problems = async () => problemsOf(JSON.parse((await kv(['doctor', dir, '-o', 'json'])).out))
  expect(await problems()).toEqual([])
  giveAway(join(dir, 'CURRENT'), 1, 1)
  const found = /^CURRENT belongs .* chown -R --reference=.*IDENTITY /
  expect(await problems()).toEqual(
    giveAway === chownSync ? [['permissions', expect.stringMatching(found)]] : [],
  )
})
