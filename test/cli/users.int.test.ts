// Users, roles and rights by the command, and what it says about them.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { type RunOptions, kv as run, spawnKv, startKv } from './run-kv.ts'

const ROOT = 'password of root'
const BOB = 'password of bob'
const AS_ROOT = { KV_USER: 'root', KV_PASSWORD: ROOT }
const AS_BOB = { KV_USER: 'bob', KV_PASSWORD: BOB }
/** Standard input and stderr are terminals: questions can be asked. */
const ASKING = { terminals: ['stdin', 'stderr'] } as const

const scratch = mkdtempSync(join(tmpdir(), 'quorate-users-'))
let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(async () => {
  await cluster.close()
  rmSync(scratch, { recursive: true })
})

/** A password takes a tenth of a second, and seconds on a busy machine. */
const KV_TIMEOUT = '60s'

const kv = (args: string, env: Readonly<Record<string, string>> = {}, more: RunOptions = {}) =>
  run(args.split(' '), { endpoints: cluster.endpoints.join(','), env: { KV_TIMEOUT, ...env }, ...more })
const asRoot = (args: string, more: RunOptions = {}) => kv(args, AS_ROOT, more)
const asBob = (args: string, more: RunOptions = {}) => kv(args, AS_BOB, more)

describe('before rights are checked', () => {
  test('they are not, which needs no user', async () => {
    expect(await kv('auth status')).toMatchObject({ code: 0, out: 'off\n', err: '' })
    expect(JSON.parse((await kv('auth status -o json')).out)).toMatchObject({ enabled: false })
    expect((await kv('auth status -o table')).out).toContain('rights are not checked')
    expect(await kv('user show')).toMatchObject({
      ...{ code: 0, out: '-\t-\t-\treadwrite --all, admin\n' },
      err: 'rights are not checked: who can connect may do everything\n',
    })
  })

  test('a user is named all the same, and everything works', async () => {
    expect(await asBob('put early 1')).toMatchObject({ code: 0, err: '' })
  })

  test('they need a user root', async () => {
    const { code, err } = await kv('auth enable')
    expect(code).toBe(1)
    expect(err).toContain('the user root, with the role root and a password or a certificate, is needed')
    expect(err).toContain('`quorate user add root --role root` makes it')
  })

  test('users and roles are made', async () => {
    const file = join(scratch, 'root')
    writeFileSync(file, `${ROOT}\n`)
    expect(await kv(`user add root --role root --password-file ${file}`)).toMatchObject({
      code: 0,
      err: 'root is a user now\n',
    })
    expect(await kv('role add app')).toMatchObject({ code: 0 })
    expect(await kv('role grant app readwrite --prefix app/')).toMatchObject({
      code: 0,
      err: 'app permits readwrite --prefix app/\n',
    })
    expect(await kv('user add bob --role app --password-file -', {}, { stdin: BOB })).toMatchObject({
      code: 0,
    })
    const { code, err } = await kv('user add bob --no-password')
    expect([code, err]).toEqual([1, expect.stringContaining('there is a user bob already')])
    expect(await kv('role add app')).toMatchObject({ code: 1, err: 'error: there is a role app already\n' })
    expect(await kv('auth enable')).toMatchObject({ code: 0 })
    expect(await kv('auth status')).toMatchObject({ code: 0, out: 'on\n' })
  })
})

describe('while rights are checked', () => {
  test('a user may do what his role permits', async () => {
    expect(await asBob('put app/a 1')).toMatchObject({ code: 0, err: '' })
    expect(await asBob('get app/a')).toMatchObject({ code: 0, out: '1' })
    expect((await asBob('ls app/')).out).toBe('app/a\n')
  })

  test('a user sees who he is and what he may do', async () => {
    expect(await asBob('user show')).toMatchObject({
      ...{ code: 0, err: '', out: 'bob\ttoken\tapp\treadwrite --prefix app/\n' },
    })
    expect(JSON.parse((await asBob('user show -o json')).out)).toEqual({
      ...{ enabled: true, revision: expect.any(Number), user: 'bob', credential: 'token' },
      ...{ roles: ['app'], permissions: [{ access: 'readwrite', prefix: 'app/' }] },
    })
    expect(await asBob('role show app')).toMatchObject({ code: 0, out: 'readwrite --prefix app/\n' })
    expect(await kv('user show')).toMatchObject({ code: 8, out: '' })
  })

  test.each([
    ['put other 1', '; nothing was written'],
    ['get other', ''],
    ['ls', ''],
    ['del --prefix other --yes', '; nothing was written'],
    ['user list', ''],
    ['settings set leases=on', '; nothing was written'],
  ])('%s: exit code 8, and what to do', async (command, written) => {
    const { code, err, out } = await asBob(command)
    expect([code, out]).toEqual([8, ''])
    expect(err).toMatch(/^error: user "bob" (may not|needs)/)
    expect(err).toContain(`${written}; an administrator can permit it with \`quorate role grant\``)
  })

  test.each(['get app/a', 'put app/a 2', 'status', 'watch app/a', 'history app/a'])(
    '%s without a user: exit code 8, and how to name one',
    async (command) => {
      const { code, err } = await kv(command)
      expect(code).toBe(8)
      expect(err).toContain('say who you are with --user NAME, or with KV_USER and KV_PASSWORD')
    },
  )

  test('a wrong password and a wrong token: exit code 8, and neither is shown', async () => {
    const wrong = await kv('put app/a 2', { KV_USER: 'bob', KV_PASSWORD: 'wrong password' })
    expect(wrong).toMatchObject({ code: 8, out: '' })
    expect(wrong.err).toBe('error: wrong user or password; nothing was written; check the password of bob\n')
    const token = await kv('get app/a', { KV_TOKEN: 'wrong-token' })
    expect(token).toMatchObject({ code: 8, out: '' })
    expect(token.err).not.toContain('wrong-token')
  })

  test('a token names its user', async () => {
    const login = await fetch(`${cluster.endpoints[0]}/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'bob', password: BOB }),
    })
    const { token } = (await login.json()) as { token: string }
    expect(await kv('get app/a', { KV_TOKEN: token })).toMatchObject({ code: 0, out: '1' })
    expect(await kv(`get other --token ${token}`)).toMatchObject({ code: 8 })
  })

  test('history and get say who wrote', async () => {
    await asBob('put app/h 1')
    await asRoot('put app/h 2')
    const rows = (await asRoot('history app/h')).out.trim().split('\n')
    expect(rows.map((row) => row.split('\t').slice(3))).toEqual([
      ['1', 'bob'],
      ['2', 'root'],
    ])
    expect(JSON.parse((await asRoot('history app/h -o json')).out)).toMatchObject([
      { kv: { by: 'bob' } },
      { kv: { by: 'root' } },
    ])
    expect(JSON.parse((await asBob('get app/h -o json')).out)).toMatchObject({ by: 'root' })
    expect((await asBob('get app/h -o table')).out).toMatch(/^by +root$/m)
    expect((await asBob('get app/h --prefix -o ndjson')).out).toContain('"by":"root"')
  })

  test('history says who deleted a key, and when each change was made', async () => {
    const from = Date.now()
    await asBob('put app/d 1')
    await asBob('del app/d')
    await asRoot('put app/d 2')
    const until = Date.now()
    const changes = JSON.parse((await asRoot('history app/d -o json')).out)
    expect(changes).toMatchObject([
      { type: 'put', kv: { by: 'bob' } },
      { type: 'delete', by: 'bob' },
      { type: 'put', kv: { by: 'root' } },
    ])
    const times = changes.map((each: { kv?: { time: string }; time?: string }) => each.kv?.time ?? each.time)
    expect(times).toEqual(times.map((time: string) => new Date(time).toISOString()))
    for (const time of times) {
      expect(Date.parse(time)).toBeGreaterThanOrEqual(from)
      expect(Date.parse(time)).toBeLessThanOrEqual(until)
    }
    const table = (await asRoot('history app/d -o table')).out.split('\n')
    expect(table[0]).toMatch(/^ *REVISION +TIME +CHANGE +VERSION +VALUE +BY *$/)
    // As sv-SE has it: 2026-11-29 12:34:56, in the time zone of this process.
    const local = new Date(times[1]).toLocaleString('sv-SE')
    expect(table[2]).toMatch(new RegExp(`^ *\\d+ +${local} +delete +- +- +bob *$`))
    // Scripts have the columns that they had.
    expect((await asRoot('history app/d')).out).toMatch(/^\d+\tput\t1\t1\tbob\n\d+\tdelete\t-\t-\tbob\n/)
  })

  test('what an export has written, an import takes', async () => {
    const { out } = await asRoot('export app/h')
    expect(out).toContain('"by":"root"')
    expect(out).not.toContain('"time"')
    expect(await asBob('import -', { stdin: out })).toMatchObject({ code: 0 })
  })
})

describe('who the user is', () => {
  test.each<[string, string, Readonly<Record<string, string>>]>([
    ['a flag', `--user bob:${BOB.replaceAll(' ', '_')}`, {}],
    ['a flag before a variable', '--user bob', { ...AS_ROOT, KV_PASSWORD: BOB }],
    ['a flag before the other variable', '--user bob', { KV_TOKEN: 'another', KV_PASSWORD: BOB }],
    ['an empty variable is none', '', { ...AS_BOB, KV_TOKEN: '' }],
  ])('%s', async (_, flags, env) => {
    const args = [
      'get',
      'app/a',
      ...(flags === '' ? [] : flags.split(' ').map((each) => each.replaceAll('_', ' '))),
    ]
    const ended = await run(args, {
      ...{ endpoints: cluster.endpoints.join(','), env: { KV_TIMEOUT, ...env } },
    })
    expect(ended).toMatchObject({ code: 0, out: '1' })
  })

  test.each<[string, Readonly<Record<string, string>>]>([
    ['get app/a --user bob --token t', {}],
    ['get app/a', { ...AS_BOB, KV_TOKEN: 't' }],
    ['get app/a --user bob', {}],
    ['get app/a', { KV_USER: 'bob' }],
  ])('%s with %j is a wrong command line', async (args, env) => {
    expect(await kv(args, env)).toMatchObject({ code: 2, out: '' })
  })

  test('the password is asked for on a terminal, and not shown', async () => {
    const { code, out, err } = await kv('get app/a --user bob', {}, { ...ASKING, stdin: `${BOB}\r` })
    expect([code, out]).toEqual([0, '1'])
    expect(err).toBe('password of bob: \n')
  })

  test('a typed character can be deleted, whatever its bytes', async () => {
    const stdin = `x\u{1f512}é\x7f\x7f\b${BOB}\n`
    expect(await kv('get app/a --user bob', {}, { ...ASKING, stdin })).toMatchObject({ code: 0, out: '1' })
  })

  test.each(['\x03', '\x04', ''])('the answer %j ends the command', async (stdin) => {
    expect(await kv('get app/a --user bob', {}, { ...ASKING, stdin })).toMatchObject({ code: 130, out: '' })
  })

  test('Ctrl-C ends the question', async () => {
    const running = startKv(['get', 'app/a', '--user', 'bob'], {
      ...ASKING,
      endpoints: cluster.endpoints.join(','),
    })
    await running.printed('password of bob')
    running.signal('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130, out: '' })
  })

  test('no list of processes shows a secret', async () => {
    const child = spawnKv(['watch', 'app/a', '--from', '1', '--user', `bob:${BOB}`], {
      endpoints: cluster.endpoints.join(','),
    })
    await once(child.stdout, 'data')
    const shown = process.platform === 'linux' ? readFileSync(`/proc/${child.pid}/cmdline`, 'utf8') : ''
    child.kill()
    expect(shown).not.toContain(BOB)
  })
})

describe('passwords', () => {
  test('a new one is asked for twice', async () => {
    const more = { ...ASKING, stdin: 'a new password\ra new password\r' }
    expect(await asRoot('user add carol', more)).toMatchObject({
      code: 0,
      err: 'new password of carol: \nthe same again: \ncarol is a user now, without a role\n',
    })
    const differing = { ...ASKING, stdin: 'a new password\ranother password\r' }
    const { code, err } = await asRoot('user passwd carol', differing)
    expect([code, err]).toEqual([2, expect.stringContaining('the two passwords differ: nothing was changed')])
    expect(err).not.toContain('another password')
  })

  test('one of a user that does not exist makes no user', async () => {
    expect(await asRoot('user passwd dave --password-file -', { stdin: 'whatever it is' })).toMatchObject({
      code: 3,
      err: 'error: there is no user dave\n',
    })
  })

  test('without a terminal it comes from a file', async () => {
    expect(await asRoot('user add erin')).toMatchObject({ code: 2 })
    for (const stdin of ['', '\n', 'two\nlines\n', Buffer.from([0xff, 0xfe])])
      expect(await asRoot('user add erin --password-file -', { stdin })).toMatchObject({ code: 2 })
    expect(await asRoot('user add erin --password-file -', { stdin: 'short' })).toMatchObject({ code: 2 })
    expect(await asRoot('user add erin --password-file /nowhere/at/all')).toMatchObject({ code: 1 })
    expect(await asRoot('user show erin')).toMatchObject({ code: 3, err: 'error: there is no user erin\n' })
  })

  test('one on the command line is used with a warning that does not show it', async () => {
    const ended = await asRoot('user add frank --password secretword')
    expect(ended).toMatchObject({ code: 0 })
    expect(ended.err).toContain('warning: a command line is no place for a password')
    expect(ended.err).not.toContain('secretword')
    await asRoot('user delete frank')
  })

  test('a user changes his own', async () => {
    const changed = await asBob('user passwd --password-file -', { stdin: `${BOB}\n` })
    expect(changed).toMatchObject({ code: 0 })
    expect(changed.err).toContain('bob has a new password')
    expect(await asBob('user passwd carol --password-file -', { stdin: 'whatever it is' })).toMatchObject({
      code: 8,
    })
  })
})

describe('users and roles', () => {
  test('are listed and shown', async () => {
    expect((await asRoot('user list')).out).toBe('bob\tapp\tyes\ncarol\t-\tyes\nroot\troot\tyes\n')
    expect(JSON.parse((await asRoot('user show bob -o json')).out)).toEqual({
      ...{ name: 'bob', roles: ['app'], has_password: true },
    })
    expect((await asBob('user show bob')).out).toBe('bob\tapp\tyes\n')
    expect((await asRoot('role list')).out).toBe('app\treadwrite --prefix app/\n')
    expect((await asRoot('role show app')).out).toBe('readwrite --prefix app/\n')
    expect(JSON.parse((await asRoot('role list -o json')).out)).toEqual([
      { name: 'app', permissions: [{ access: 'readwrite', prefix: 'app/' }] },
    ])
    expect(await asRoot('role show nothing')).toMatchObject({ code: 3 })
  })

  test('several changes at once lose nothing', async () => {
    const keys = Array.from({ length: 6 }, (_, n) => `k${n}`)
    await asRoot('role add many')
    const ended = await Promise.all(keys.map((key) => asRoot(`role grant many read ${key}`)))
    expect(ended.map(({ code }) => code)).toEqual(keys.map(() => 0))
    const { out } = await asRoot('role show many')
    expect(out.trim().split('\n').sort()).toEqual(keys.map((key) => `read ${key}`))
    await Promise.all([asRoot('user grant carol many'), asRoot('user grant carol app')])
    expect((await asRoot('user show carol')).out).toBe('carol\tapp,many\tyes\n')
    expect(await asRoot('user revoke carol many')).toMatchObject({ code: 0, err: 'carol has the role app\n' })
    expect(await asRoot('user revoke carol many')).toMatchObject({ code: 3 })
    expect(await asRoot('user grant carol nothing')).toMatchObject({ code: 2 })
    expect(await asRoot('user grant nobody app')).toMatchObject({ code: 3 })
    await asRoot('role delete many')
    expect(await asRoot('role delete many')).toMatchObject({ code: 3 })
  })

  test('permissions of one range are one', async () => {
    await asRoot('role add one')
    const permitted = async (...commands: string[]) => {
      for (const command of commands) expect(await asRoot(command)).toMatchObject({ code: 0 })
      return (await asRoot('role show one')).out.trim().split('\n')
    }
    expect(await permitted('role grant one read a', 'role grant one write a')).toEqual(['readwrite a'])
    expect(await permitted('role revoke one read a')).toEqual(['write a'])
    expect(await permitted('role grant one read --range b c', 'role grant one write --prefix b')).toEqual([
      'write a',
      'readwrite --prefix b',
    ])
    expect(await permitted('role revoke one readwrite --prefix b')).toEqual(['write a'])
    expect(await permitted('role grant one admin', 'role grant one read --all')).toEqual([
      ...['write a', 'admin', 'read --all'],
    ])
    expect(await permitted('role revoke one admin', 'role revoke one write a')).toEqual(['read --all'])
    const { code, err } = await asRoot('role revoke one write --all')
    expect([code, err]).toEqual([3, 'error: one does not permit write --all\n'])
    await asRoot('role delete one')
  })

  test.each([
    'role grant app readwrite',
    'role grant app read a --all',
    'role grant app read --range a',
    'role grant app read --range b a',
    'role grant app admin --all',
    'role grant app execute a',
    'role grant app',
    'user add a/b --no-password',
    'user grant bob',
    'user passwd --password-file x',
  ])('%s is a wrong command line', async (args) => {
    const isNobody = args.startsWith('user passwd')
    expect(await kv(args, isNobody ? {} : AS_ROOT)).toMatchObject({ code: 2, out: '' })
  })

  test('a role that does not exist', async () => {
    expect(await asRoot('role grant nothing read a')).toMatchObject({
      code: 3,
      err: 'error: there is no role nothing\n',
    })
  })

  test('completion names them', async () => {
    const completed = async (...words: string[]) =>
      (
        await run(['complete', 'words', '--', ...words], {
          endpoints: cluster.endpoints.join(','),
          env: AS_ROOT,
        })
      ).out
    // A node that cannot be reached in half a second completes nothing.
    const soon = (...words: string[]) => expect.poll(() => completed(...words), { timeout: 200_000 })
    await soon('user', 'show', 'b').toBe('=bob\n')
    await soon('user', 'grant', 'bob', 'a').toBe('=app\n')
    await soon('role', 'grant', 'app', 'readw').toBe('=readwrite\n')
  })

  test('rights are switched off', async () => {
    expect(await asBob('auth disable')).toMatchObject({ code: 8 })
    expect(await asRoot('auth disable')).toMatchObject({ code: 0 })
    expect(await kv('get app/a')).toMatchObject({ code: 0, out: '1' })
  })
})
