import { createHash, scrypt } from 'node:crypto'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { AUTH_TOKEN_MS } from '../../../src/server/auth/auth-tokens.ts'
import { Passwords, PasswordsBusyError, passwordFault } from '../../../src/server/auth/passwords.ts'

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, scrypt: vi.fn(crypto.scrypt) }
})

/** In place of scrypt, which takes a tenth of a second. The first test has the real one. */
const quick = (password: unknown, salt: unknown, ...rest: readonly unknown[]) =>
  void setImmediate(
    rest.at(-1) as (...results: unknown[]) => void,
    null,
    createHash('sha256').update(`${salt} ${password}`).digest(),
  )
beforeEach(() => void vi.mocked(scrypt).mockImplementation(quick as typeof scrypt))

const hash = (passwords: Passwords, password: string): Promise<string> =>
  new Promise((resolve, reject) =>
    passwords.hash(password, (error, text) => (error === undefined ? resolve(text) : reject(error))),
  )

const check = (
  passwords: Passwords,
  user: string,
  password: string,
  known: string | undefined,
): Promise<unknown> =>
  new Promise((resolve) =>
    passwords.check(user, password, known, (error, isRight) => resolve(error ?? isRight)),
  )

const busy = expect.any(PasswordsBusyError)

test('a hash has a salt of its own, and says nothing about the password', async () => {
  const { scrypt: real } = await vi.importActual<typeof import('node:crypto')>('node:crypto')
  vi.mocked(scrypt).mockImplementation(real)
  const passwords = new Passwords(0)
  const [one, two] = [await hash(passwords, 'password'), await hash(passwords, 'password')]
  expect(one).toMatch(/^scrypt\$15\$8\$1\$[\w-]{22}\$[\w-]{43}$/)
  expect(one).not.toBe(two)
  expect([
    await check(passwords, 'a', 'password', one),
    await check(passwords, 'a', 'passwore', one),
  ]).toEqual([...[true, false]])
  expect(passwords.size).toBe(0)
})

test('a right password is remembered for its user and its hash only', async () => {
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  expect(passwords.isKnown('a', 'password', known)).toBe(false)
  await check(passwords, 'a', 'password', known)
  expect(passwords.isKnown('a', 'password', known)).toBe(true)
  expect(passwords.isKnown('b', 'password', known)).toBe(false)
  expect(passwords.isKnown('a', 'passwor', known)).toBe(false)
  expect(passwords.isKnown('a', 'password', await hash(passwords, 'password'))).toBe(false)
})

test('after a few wrong passwords the next one of that user waits, and no other user does', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  for (let wrong = 0; wrong < 3; wrong++) expect(await check(passwords, 'a', 'wrong one', known)).toBe(false)
  const refused = await check(passwords, 'a', 'password', known)
  expect(refused).toEqual(busy)
  expect((refused as PasswordsBusyError).retryAfterMs).toBe(500)
  expect(await check(passwords, 'b', 'password', known)).toBe(true)
  vi.advanceTimersByTime(500)
  expect(await check(passwords, 'a', 'wrong one', known)).toBe(false)
  vi.advanceTimersByTime(500)
  expect(await check(passwords, 'a', 'password', known)).toEqual(busy)
  vi.advanceTimersByTime(500)
  expect(await check(passwords, 'a', 'password', known)).toBe(true)
  // It begins anew.
  for (let wrong = 0; wrong < 2; wrong++) expect(await check(passwords, 'a', 'wrong one', known)).toBe(false)
  expect(await check(passwords, 'a', 'another', known)).toBe(false)
})

test('guesses that wait are refused after a few wrong ones, and those of other users are not', async () => {
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  const guesses = Array.from({ length: 15 }, (_, at) => check(passwords, 'a', `guess ${at}`, known))
  const other = check(passwords, 'b', 'password', known)
  expect(await Promise.all(guesses)).toEqual([false, false, false, ...Array(12).fill(busy)])
  expect(await other).toBe(true)
  expect(passwords.size).toBe(0)
})

test('after a wrong password no other one is computed for a while', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const passwords = new Passwords(300)
  expect(await check(passwords, 'a', 'wrong one', undefined)).toBe(false)
  const computed = vi.mocked(scrypt).mock.calls.length
  const next = check(passwords, 'b', 'wrong one', undefined)
  vi.advanceTimersByTime(299)
  expect(vi.mocked(scrypt).mock.calls.length).toBe(computed)
  vi.advanceTimersByTime(1)
  expect(vi.mocked(scrypt).mock.calls.length).toBe(computed + 1)
  expect(await next).toBe(false)
})

test('guesses of names that nobody has keep no user out', async () => {
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  const guesses = Array.from({ length: 18 }, (_, at) => check(passwords, `none${at}`, 'password', undefined))
  expect(await guesses[17]).toEqual(busy)
  // It is the next one.
  const user = check(passwords, 'a', 'password', known)
  expect(await Promise.race([user, guesses[1]])).toBe(true)
  expect(await Promise.all(guesses.slice(0, 17))).toEqual(Array(17).fill(false))
})

test('a storm of guesses keeps nobody out who logs in again before the token ends', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  // Only the first guess is ever computed.
  const passwords = new Passwords(2 ** 30)
  const known = await hash(passwords, 'password')
  expect(await check(passwords, 'a', 'password', known)).toBe(true)
  for (let at = 0; at < 17; at++) void check(passwords, `u${at}`, 'a guess', known)
  for (let login = 0; login < 3; login++) {
    vi.advanceTimersByTime(AUTH_TOKEN_MS)
    expect(await check(passwords, 'a', 'password', known)).toBe(true)
  }
  expect(await check(passwords, 'b', 'password', known)).toEqual(busy)
})

test('a right password that is sent many times at once is computed once', async () => {
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  const checks = Array.from({ length: 15 }, () => check(passwords, 'a', 'password', known))
  await checks[0]
  // The callbacks of all others have run in the same turn.
  expect(passwords.size).toBe(0)
  expect(await Promise.all(checks)).toEqual(Array(15).fill(true))
})

test('a user who does not exist is refused like a wrong password, and as late', async () => {
  const passwords = new Passwords(0)
  const checked = check(passwords, 'nobody', 'password', undefined)
  expect(passwords.size).toBe(1)
  expect(await checked).toBe(false)
})

test('one password is checked at a time, and so many wait', async () => {
  const passwords = new Passwords(0)
  const known = await hash(passwords, 'password')
  const checks = Array.from({ length: 22 }, (_, at) => check(passwords, `u${at}`, 'password', known))
  expect(passwords.size).toBe(17)
  const outcomes = await Promise.race([Promise.all(checks.slice(17)), checks[0]])
  expect(outcomes).toEqual(Array(5).fill(busy))
})

test.each([
  ['1234567', 'a password has from 8 to 1024 bytes, not 7'],
  ['äöüß', undefined],
  ['x'.repeat(1024), undefined],
  ['x'.repeat(1025), 'a password has from 8 to 1024 bytes, not 1025'],
])('the length of a password counts in bytes: %s', (password, fault) => {
  expect(passwordFault(password)).toBe(fault)
})
