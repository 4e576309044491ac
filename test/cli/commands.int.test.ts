import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startCluster } from '../../src/index.ts'
import { memberJson, problem, RelayedNode } from '../client/relayed-node.ts'
import { KV, kv as run, runTogether, spawnKv, startKv } from './run-kv.ts'

let node: RelayedNode
let scratch: string

beforeEach(async () => {
  node = await RelayedNode.start()
  scratch = mkdtempSync(join(tmpdir(), 'quorate-cli-'))
})

afterEach(async () => {
  await node.close()
  rmSync(scratch, { recursive: true, force: true })
})

const ON_TERMINAL = { terminals: ['stdout'] } as const

const kv = (args: string, more: Parameters<typeof run>[1] = {}) =>
  run(args.split(' '), { endpoints: node.url, ...more })

describe('data goes to stdout as it is', () => {
  test('get writes the exact bytes, and no newline into a pipe', async () => {
    const value = Buffer.from([0, 255, 10, 13, 27])
    node.set('k', value)
    const ended = await kv('get k')
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(ended.bytes.equals(value)).toBe(true)
  })

  test('an input that never ends is read up to a bound', async () => {
    expect(await kv('put k @/dev/zero')).toMatchObject({
      ...{ code: 1, out: '' },
      err: 'error: /dev/zero is too large for a value: it has more than 64 MiB\n',
    })
    expect(node.seen).toEqual([])
  })

  test.each<[string, Buffer, string]>([
    ['text is shown as it is', Buffer.from('é\tb\r\nc\n'), 'é\tb\r\nc\n\n'],
    ['control characters are not', Buffer.from('\x1b[31mred\x07\rx\x9b'), '\\x1b[31mred\\x07\\x0dx\\x9b\n'],
    ['bytes that are not UTF-8 are not', Buffer.from([0x61, 0xff, 0x1b, 0x0a]), 'a\\xff\\x1b\n\n'],
  ])('get on a terminal: %s', async (_, value, shown) => {
    node.set('k', value)
    const ended = await kv('get k', ON_TERMINAL)
    expect(ended).toMatchObject({ code: 0, out: shown })
    expect(ended.err.includes('the exact bytes: quorate get KEY > FILE')).toBe(shown.includes('\\x'))
  })

  test('a file that takes only a part of a value is no success, and a file that an export cannot write is named', async () => {
    const key = '\x1b[2J\n'
    node.set(key, Buffer.alloc(100_000, 'v'))
    const runs = [
      { args: ['get', key], stdoutFile: join(scratch, 'cut') },
      { args: ['export', '--dir', 'dir'] },
    ].map((each) => ({ ...each, cwd: scratch, endpoints: node.url, terminals: ['stderr'] as const }))
    // A limit to files is like a full disk: of the write that meets it, a part is written.
    const ended = await runTogether(runs, {
      within: ['sh', '-c', 'ulimit -f 32; exec "$@"', 'sh'],
      env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    })
    // The text that remains on the screen.
    const shown = ended.map(({ code, text }) => [code, text.split('\u001b[2K').at(-1)])
    expect(shown).toEqual([
      [1, 'error: cannot write to standard output: file too large\n'],
      [1, expect.stringMatching(/^error: cannot write \/.*\/dir\/\\x1b\[2J\\x0a: file too large\n$/)],
    ])
    expect(statSync(join(scratch, 'cut')).size).toBeLessThan(100_000)
  })

  test('a change whose result cannot be printed may have been made', async () => {
    const full = { reader: 'full-disk' } as const
    const message = 'error: cannot write to standard output: no space left on device'
    expect(await kv('put k v', full)).toMatchObject({
      code: 6,
      err: `${message}; the change may have been made; check with: quorate get k\n`,
    })
    expect(node.contents).toEqual({ k: 'v' })
    const del = await kv('del k', full)
    expect([del.code, node.contents]).toEqual([6, {}])
    // Now there is nothing to delete.
    expect(await kv('del k', full)).toMatchObject({ code: 1, err: `${message}\n` })
  })

  test('a directory as standard input is no value', async () => {
    const fd = openSync(scratch, 'r')
    onTestFinished(() => closeSync(fd))
    const running = startKv(['put', 'k', '-'], { endpoints: node.url })
    Object.assign(running.stdin, { fd })
    expect(await running.ended).toMatchObject({ code: 1, err: 'error: standard input is a directory\n' })
    expect(node.rows.size).toBe(0)
  })

  test('a value comes from an argument, standard input, a file, or --value', async () => {
    writeFileSync(join(scratch, 'file'), Buffer.from([1, 255]))
    const results = await Promise.all([
      kv('put arg hello'),
      kv('put stdin -', { stdin: 'from\nstdin' }),
      kv('put file @file', { cwd: scratch }),
      kv('put literal --value @not-a-file'),
      kv('put dash -- -o'),
      kv('put number -5'),
      run(['put', 'empty', ''], { endpoints: node.url }),
    ])
    expect(results.map((result) => result.code)).toEqual([0, 0, 0, 0, 0, 0, 0])
    expect(node.rows.get('file')?.value).toEqual(Buffer.from([1, 255]))
    node.delete('file')
    expect(node.contents).toEqual({
      arg: 'hello',
      stdin: 'from\nstdin',
      literal: '@not-a-file',
      dash: '-o',
      number: '-5',
      empty: '',
    })
  })

  test('records and results as JSON have the shapes of the HTTP API', async () => {
    node.set('k', Buffer.from([255]))
    const [record, put, del, list] = await Promise.all([
      kv('get k -o json'),
      kv('-o ndjson put new v'),
      kv('del missing -o json'),
      kv('ls k --output json'),
    ])
    const meta = { create_revision: 2, mod_revision: 2, version: 1 }
    expect(JSON.parse(record.out)).toEqual({ key: 'k', value: { base64: '/w==' }, ...meta })
    expect(put.out).toMatch(/^\{.*\}\n$/)
    expect(JSON.parse(put.out)).toMatchObject({
      revision: 3,
      create_revision: 3,
      mod_revision: 3,
      version: 1,
    })
    expect(JSON.parse(del.out)).toMatchObject({ deleted: 0 })
    expect(JSON.parse(list.out)).toEqual([{ key: 'k', ...meta }])
  })

  test('del prints how many it deleted and is content with none', async () => {
    node.set('k', 'v')
    expect(await kv('del k')).toMatchObject({ code: 0, out: '1\n', err: '' })
    expect(await kv('del k')).toMatchObject({ code: 0, out: '0\n', err: '' })
    node.set('k', 'v')
    expect((await kv('del k', ON_TERMINAL)).out).toMatch(/^1 key deleted, revision \d+\n$/)
    expect(await kv('del k', ON_TERMINAL)).toMatchObject({
      code: 0,
      out: '0 keys deleted: there is no key k\n',
    })
  })

  test('ls prints keys line by line, a table when asked for, and ends quietly under head', async () => {
    for (let n = 100; n < 2_500; n++) node.set(`key/${n}`, 'v')
    node.set('other\u001b', 'v')
    const [plain, table, count, limited] = await Promise.all([
      kv('ls key/'),
      kv('ls other -o table'),
      kv('ls key/ --count'),
      kv('ls --limit 2'),
    ])
    expect(plain.out.split('\n').length).toBe(2_401)
    expect(table.out).toBe('KEY        REVISION  VERSION\nother\\x1b      2402        1\n')
    expect(count.out).toBe('2400\n')
    expect(limited.out).toBe('key/100\nkey/1000\n')
    const head = spawnKv(['ls'], { endpoints: node.url })
    head.stdout.once('data', () => head.stdout.destroy())
    const [err, [code]] = await Promise.all([text(head.stderr), once(head, 'close')])
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  test('on a terminal a table fits into its lines, also where characters are wide', async () => {
    const bytes = (text: string): string => Buffer.from(text).toString('latin1')
    for (const key of ['設定/言語', 'services/a-long-name/of-a-key', 'emoji/😀']) node.set(bytes(key), 'v')
    const on = (columns: number) => ({
      ...ON_TERMINAL,
      columns,
      env: { NO_COLOR: '1' },
    })
    const [narrow, fitting, wide, pipe] = await Promise.all([
      kv('ls', on(36)),
      kv('ls', on(80)),
      kv('ls -o wide', on(36)),
      kv('ls -o table', { env: { COLUMNS: '20' } }),
    ])
    expect(stripVTControlCharacters(narrow.out)).toBe(
      [
        'KEY                REVISION  VERSION\n',
        'emoji/😀                  4        1\n',
        'services/a-long-…         3        1\n',
        '設定/言語                 2        1\n',
      ].join(''),
    )
    expect(stripVTControlCharacters(fitting.out)).toBe(pipe.out)
    expect(stripVTControlCharacters(wide.out)).toBe(pipe.out)
  })

  test('status and members have few columns in a table, and all of them with -o wide', async () => {
    for (const command of ['status', 'member list']) {
      const [table, wide, plain] = await Promise.all(
        ['table', 'wide', 'plain'].map((format) => kv(`${command} -o ${format}`)),
      )
      const heads = [table, wide].map((ended) => ended?.out.split('\n')[0]?.split(/ {2,}/))
      expect(heads[1]).toEqual(expect.arrayContaining(heads[0] ?? []))
      expect(plain?.out.split('\n')[0]?.split('\t')).toHaveLength(heads[1]?.length ?? 0)
      expect(heads[1]?.filter((title) => !heads[0]?.includes(title))).toEqual(
        command === 'status' ? ['COMMIT', 'APPLIED', 'STATE HASH'] : ['REPLICA ID'],
      )
    }
  })

  test('colours only where they are wanted', async () => {
    const [none, forced, flag] = await Promise.all([
      kv('status -o table'),
      kv('status -o table', { env: { FORCE_COLOR: '1' } }),
      kv('status -o table --no-color', { env: { FORCE_COLOR: '1' } }),
    ])
    expect(none.out).not.toContain('\u001b')
    expect(forced.out).toContain('\u001b[32mn1 ')
    expect(flag.out).toBe(none.out)
  })

  test('a stale read says on stderr how stale it is', async () => {
    node.set('k', 'v')
    node.stalenessMs = 12.5
    const ended = await kv('get k --consistency stale --max-staleness 1s')
    expect(ended).toMatchObject({ code: 0, out: 'v', err: 'stale read from n1: at most 13 ms old\n' })
    expect(node.asked[0]?.target).toBe('/v1/kv/k?consistency=stale&max_staleness=1000ms')
  })

  test('status names the leader although another node of its term has not heard of it yet', async () => {
    const other = await RelayedNode.start({ name: 'n2', peer: node })
    other.leader = undefined
    try {
      for (const endpoints of [`${node.url},${other.url}`, `${other.url},${node.url}`]) {
        const { out } = await kv('status -o json', { endpoints })
        expect(JSON.parse(out)).toMatchObject({ leader: 'n1', nodes: [{}, {}] })
      }
    } finally {
      await other.close()
    }
  })

  test('the same change of members a second time says what is the case', async () => {
    const cluster = await startCluster({ nodes: 1 })
    onTestFinished(() => cluster.close())
    const at = { endpoints: cluster.endpoints[0] }
    const [self] = (await cluster.client().cluster()).members
    const isMember = (name: string) =>
      `${name} is a member now: a learner until it has caught up, then a voter; see quorate member list\n`
    const voter = `member add n1 --replica-id ${self?.replicaId} --peer ${self?.peer} --url ${self?.url}`
    expect(await kv(voter, at)).toMatchObject({ code: 0, err: isMember('n1') })
    const replica = (id: number) => `--replica-id ${id} --peer 127.0.0.1:1 --url http://127.0.0.1:1`
    for (let time = 0; time < 2; time++)
      expect(await kv(`member add n4 ${replica(4)}`, at)).toMatchObject({ code: 0, err: isMember('n4') })
    for (let time = 0; time < 2; time++)
      expect(await kv(`member replace n4 --name n9 ${replica(9)}`, at)).toMatchObject({
        ...{ code: 0, err: 'n9 is now the replica 9\n' },
      })
    expect((await kv('member list', at)).out.replaceAll(/\t.*/g, '')).toBe('n1\nn9\n')
  })

  test('status, members, settings and leadership', async () => {
    const [status, members, settings] = await Promise.all([
      kv('status -o json'),
      kv('member list'),
      kv('settings'),
    ])
    const before = await kv('settings -o json')
    const set = await kv('settings set leases=on value_bytes_max=9 leases.duration_ms=700 -o json')
    node.members = ['n1', 'n2'].map((name) => ({ name, url: node.url }))
    const leader = await kv('leader transfer n2')
    expect(JSON.parse(status.out)).toMatchObject({
      cluster_id: '77',
      term: 3,
      nodes: [
        { name: 'n1', url: node.url, state: 'running', commit_index: 100, state_hash: '000000000000abcd' },
      ],
    })
    expect(members.out).toBe(`n1\tvoter\tleader\t1\t${node.url}\t127.0.0.1:1\t101\n`)
    expect(settings.out).toMatch(/^key_bytes_max\t4096\nvalue_bytes_max\t1572864\n/)
    expect(settings.out).toMatch(/\nleases\toff\nleases\.duration_ms\t500\n$/)
    expect(JSON.parse(set.out)).toEqual({
      ...JSON.parse(before.out),
      value_bytes_max: 9,
      leases: { on: true, duration_ms: 700 },
    })
    expect(leader.out).toBe('n2\n')
  })
})

describe('exit codes', () => {
  const down = 'http://127.0.0.1:1'
  // Later than the command waits: it gives up at once.
  const noQuorum = problem(503, 'no_quorum', 'one of 3 voters', { retry_after_ms: 60_000 })

  test('0 and the bare version', async () => {
    for (const flag of ['--version', '-v'])
      expect(await kv(flag)).toMatchObject({ code: 0, out: '0.1.0\n', err: '' })
  })

  test('1: failed', async () => {
    node.fault = () => problem(413, 'value_too_large', 'a value has at most 9 bytes')
    expect(await kv('put k v')).toMatchObject({
      code: 1,
      out: '',
      err: 'error: a value has at most 9 bytes\n',
    })
    const missing = await kv('put k @/does/not/exist')
    expect(missing).toMatchObject({ code: 1, out: '' })
    expect(missing.err).toContain('cannot read /does/not/exist: no such file or directory')
  })

  test.each<[string, string]>([
    ['gte k', "unknown command 'gte'\n(Did you mean get?)"],
    ['set k v', "unknown command 'set'\n(Did you mean put?)\nSee: quorate help\n"],
    ['member rm n4', "unknown command 'rm'\nSee: quorate help member\n"],
    ['get k --timeou 5s', "unknown option '--timeou'\n(Did you mean --timeout?)"],
    ['member lst', "unknown command 'lst'\n(Did you mean list?)"],
    ['get', "missing required argument 'key'\nSee: quorate help get\n"],
    ['member remove', "missing required argument 'name'\nSee: quorate help member remove\n"],
    ['get a b', 'too many arguments'],
    ['put my key x', '; quote a key with spaces\n'],
    ['lease list --keys', "unknown option '--keys'; it is one of: lease show\n"],
    ['lease revoke 7 --once', "unknown option '--once'; it is one of: lease keep-alive\n"],
    ['lease list --keyy', "unknown option '--keyy'\n(Did you mean --key?)"],
    ['get -x', "unknown option '-x'; a key that begins with -: put -- before it\n"],
    ['get k --data d', 'error: --data is for cluster commands; name the nodes with --endpoints\n'],
    ['version', '(Did you mean --version?)'],
    ['role grant shop foo --prefix x', "access must be one of read, write, readwrite, admin, not 'foo'\n"],
    [`get k --cacert ${import.meta.filename}`, `--cacert: ${import.meta.filename} has no certificate\n`],
    ['settings value_bytes_max 5', 'too many arguments'],
    ['settings set value_bytes_max 5', '"value_bytes_max" is not of the form NAME=VALUE'],
    ['lock', "missing required argument 'name'\nSee: quorate help lock\n"],
    ['put k', 'a value is missing'],
    ['put k v --value v', 'a value is given twice'],
    ['get k --timeout 5', 'a number with ms, s, m or h'],
    ['get k --consistency strong', '--consistency: one of linearizable, lease, stale, not '],
    ['get k --endpoints ftp://x', 'only http:// and https:// endpoints'],
    ['get k --endpoints 7301', '7301 is no address. For a port of this machine: 127.0.0.1:7301\n'],
    ['get k --endpoints http://7301/', 'For a port of this machine: 127.0.0.1:7301\n'],
    ['get k --endpoints \t7301', '7301 is no address. For a port of this machine: 127.0.0.1:7301\n'],
    ['put k v --if-revision x', 'it must be a whole number'],
    ['help exit-code', '(did you mean exit-codes?)'],
    ['help ptu', '(did you mean put?)'],
    ['settings set leases', 'NAME=VALUE'],
    ['settings set leases=on value_bytes_max=9 leases=off', 'leases is given twice'],
    [`settings set value_bytes_max=${'9'.repeat(310)}`, 'must be a whole number below 2^53'],
    ['member', 'Usage: quorate member'],
    ['node start --listen http://h:1', 'it must be HOST:PORT, as in 127.0.0.1:7301'],
    ['node start --advertise-peer h:0', 'it must be HOST:PORT, as in 127.0.0.1:7401'],
  ])('2: usage: kv %s', async (args, message) => {
    const ended = await kv(args)
    expect(ended).toMatchObject({ code: 2, out: '' })
    expect(ended.err).toContain(message)
    expect(node.seen).toEqual([])
  })

  test.each([
    ['backup save /nope/x', 'error: there is no directory /nope\n'],
    ['cert show /nope', 'error: /nope cannot be read: no such file or directory\n'],
  ])('1: kv %s', async (args, message) => {
    expect(await kv(args)).toMatchObject({ code: 1, out: '', err: message })
    expect(node.seen).toEqual([])
  })

  test('7: http at a port with TLS', async () => {
    node.fault = () => problem(400, 'bad_request', 'this port speaks only TLS: use https://')
    const address = node.url.replace('http', 'https')
    expect(await kv('get k')).toMatchObject({
      code: 7,
      err: `error: ${node.url} speaks only TLS: --endpoints ${address} --cacert FILE\n`,
    })
  })

  test('5: a listener that does not answer is named, with the timeout of the command line', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const ended = await kv('get k --timeout 600ms', { endpoints: `http://127.0.0.1:${port}` })
    const listener = `what listens at http://127.0.0.1:${port} does not answer`
    expect(ended).toMatchObject({
      code: 5,
      err: `error: no answer within 0.6 s (${listener}); check --endpoints or KV_ENDPOINTS, and that a node runs there\n`,
    })
  })

  test('7: an import tries for long, and says so', async () => {
    writeFileSync(join(scratch, 'k'), 'v')
    const endpoints = node.url
    await node.close()
    expect(await run(['import', scratch, '--timeout', '3s'], { endpoints })).toMatchObject({
      code: 7,
      note: 'no node has answered yet; trying for up to 3 s\n',
    })
  })

  test('2 also when only the cluster can tell that what was typed is wrong', async () => {
    node.fault = () => problem(400, 'key_too_long', 'key of 5000 bytes, at most 4096')
    const [put, get] = await Promise.all([kv('put k v'), kv('get k')])
    expect(put).toMatchObject({ code: 2, err: 'error: key of 5000 bytes, at most 4096\n' })
    expect(get).toMatchObject({ code: 2, err: 'error: key of 5000 bytes, at most 4096\n' })
  })

  test.runIf(process.platform === 'linux')(
    '2 for a key that is no UTF-8: another one would be written',
    () => {
      const typed = `${process.execPath} ${KV} put "$(printf 'k\\377')" v`
      const ended = spawnSync('/bin/sh', ['-c', typed], { env: { ...process.env, KV_ENDPOINTS: node.url } })
      expect(ended.stderr.toString()).toContain('not valid UTF-8')
      expect(ended.status).toBe(2)
    },
  )

  test('130: Ctrl-C while it reads a value', async () => {
    const running = startKv(['put', 'k', '-'], { endpoints: node.url })
    // More than a stream holds: once it is gone, the command reads.
    running.stdin.write(Buffer.alloc(1024 * 1024), () => running.signal('SIGINT'))
    expect((await running.ended).code).toBe(130)
  })

  test.runIf(process.platform === 'linux')(
    'Ctrl-C ends it also while it reads a pipe as a file',
    async () => {
      const pipe = join(scratch, 'pipe')
      spawnSync('mkfifo', [pipe])
      const running = startKv(['put', 'k', `@${pipe}`], { endpoints: node.url })
      // Opened as soon as the other end is.
      await using _writer = await open(pipe, 'w')
      running.signal('SIGINT')
      expect((await running.ended).code).toBe(null)
    },
  )

  test('2 also for a variable that is wrong', async () => {
    const ended = await kv('get k', { env: { KV_TIMEOUT: 'soon' } })
    expect(ended).toMatchObject({ code: 2, out: '' })
    expect(ended.err).toContain('KV_TIMEOUT')
  })

  test('3: not found', async () => {
    expect(await kv('get k')).toMatchObject({ code: 3, out: '', err: 'error: there is no key k\n' })
  })

  test('4: precondition failed', async () => {
    node.set('k', 'v')
    const [absent, revision, gone] = await Promise.all([
      kv('put k w --if-absent'),
      kv('put k w --if-revision 9'),
      kv('del k --if-revision 9'),
    ])
    expect([absent.code, revision.code, gone.code]).toEqual([4, 4, 4])
    expect(revision.err).toBe('error: the condition does not hold: k is at revision 2; nothing was written\n')
    expect(node.contents).toEqual({ k: 'v' })
  })

  test('5: reached, but not available: nothing written', async () => {
    node.fault = () => noQuorum
    const [put, get] = await Promise.all([kv('put k v'), kv('get k')])
    expect([put.code, get.code]).toEqual([5, 5])
    expect(put.err).toBe(
      'error: n1 answered, but it cannot reach a majority of the cluster: one of 3 voters; nothing was written\n',
    )
    expect(get.err).toContain('--consistency stale')
  })

  test('5: a read that nobody answers in time', async () => {
    node.fault = () => 'hang'
    expect(await kv('get k --timeout 1s')).toMatchObject({ code: 5, out: '' })
  })

  test('6: a write that left and was not answered', async () => {
    node.fault = () => 'hang'
    const ended = await kv('put k v --timeout 1s')
    expect(ended).toMatchObject({ code: 6, out: '' })
    expect(ended.err).toMatch(/^error: the outcome is unknown: .* check with: quorate get k\n$/)
  })

  test('6: a change of the cluster that left and was not answered', async () => {
    node.faults.push('cut-after')
    expect(await kv('leader transfer')).toMatchObject({ code: 6, out: '' })
  })

  test('7: nobody accepts a connection', async () => {
    const results = await Promise.all([
      kv('put k v', { endpoints: down }),
      kv('get k', { endpoints: down }),
      kv('status', { endpoints: down }),
      kv('member list', { endpoints: down }),
    ])
    expect(results.map((result) => result.code)).toEqual([7, 7, 7, 7])
    expect(results[0]?.err).toBe(
      'error: cannot connect to http://127.0.0.1:1: connection refused; nothing was written; check --endpoints or KV_ENDPOINTS, and that a node runs there\n',
    )
  })

  test('130: Ctrl-C', async () => {
    const sent = new Promise<void>((resolve) => {
      node.fault = () => {
        resolve()
        return 'hang'
      }
    })
    const running = startKv(['put', 'k', 'v'], { endpoints: node.url })
    await sent
    running.signal('SIGINT')
    expect(await running.ended).toMatchObject({
      code: 130,
      out: '',
      err: 'interrupted; the change may have been made\n',
    })
  })
})

describe('where values of global flags come from', () => {
  test('a flag wins over a variable, before and after the command', async () => {
    node.set('k', 'v')
    const [before, after] = await Promise.all([
      kv(`--endpoints ${node.url} -o json get k`, { endpoints: 'http://127.0.0.1:1' }),
      kv('get k -o json', { env: { KV_OUTPUT: 'plain' } }),
    ])
    expect(JSON.parse(before.out)).toMatchObject({ key: 'k' })
    expect(JSON.parse(after.out)).toMatchObject({ key: 'k' })
  })

  test('endpoints that are named are asked alone; those of the local cluster are a beginning', async () => {
    node.set('k', 'v')
    mkdirSync(join(scratch, '.kv/cluster'), { recursive: true })
    const nodes = [{ name: 'n1', url: node.url, pid: null, peer_port: null, stage: 'member' }]
    const content = { format: 1, cluster_id: '77', supervisor: null, nodes }
    writeFileSync(join(scratch, '.kv/cluster/cluster.json'), JSON.stringify(content))
    const named = await kv('get k', { cwd: scratch, endpoints: `${node.url}/, http://127.0.0.1:1` })
    expect(named).toMatchObject({ code: 0, out: 'v' })
    expect(node.seen.map((seen) => seen.target)).toEqual(['/v1/kv/k'])
    expect(await run(['get', 'k'], { cwd: scratch })).toMatchObject({ code: 0, out: 'v' })
    // A member may tell an address that is not for us, such as that of a proxy.
    const others = ['https://kv.example', 'http://127.0.0.1:1/n3']
    node.members = [node.url, ...others].map((url, at) => memberJson(`n${at + 1}`, url))
    const status = await run(['status', '-o', 'ndjson'], { cwd: scratch })
    expect(status.err).toBe('')
    expect(status.code).toBe(0)
    expect(status.out.split('\n').map((line) => line && JSON.parse(line))).toMatchObject([
      { name: 'n1', state: 'running' },
      { name: 'n2', url: others[0], state: 'unreachable' },
      { name: 'n3', url: others[1], state: 'unreachable' },
      '',
    ])
  })

  test('the timeout is passed on', async () => {
    await kv('put k v --timeout 2m')
    expect(node.seen[0]?.timeoutMs).toBe(60_000)
    await kv('put k v', { env: { KV_TIMEOUT: '0.5m' } })
    expect(node.seen[1]?.timeoutMs).toBeLessThanOrEqual(30_000)
    expect(node.seen[1]?.timeoutMs).toBeGreaterThan(15_000)
  })

  test('what standard input is waited for is no part of the timeout', async () => {
    const { performance } = globalThis
    const now = performance.now.bind(performance)
    onTestFinished(() => void vi.restoreAllMocks())
    const running = startKv(['put', 'k', '-', '--timeout', '60s'], { endpoints: node.url })
    running.stdin.once('end', () => vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000))
    running.stdin.end()
    expect(await running.ended).toMatchObject({ code: 0, err: '' })
    expect(node.seen[0]?.timeoutMs).toBeGreaterThan(30_000)
  })
})
