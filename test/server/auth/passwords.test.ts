import { createHash, scrypt } from 'node:crypto'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { apiLimits } from '../../../src/server/api/limits.ts'
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

const hash = (passwords: Passwords, password: string, by = 'root'): Promise<string> =>
  new Promise((resolve, reject) =>
    passwords.hash(password, by, (error, text) => (error === undefined ? resolve(text) : reject(error))),
  )

const check = (
  passwords: Passwords,
  user: string,
  password: string,
  known: string | undefined,
  address = '10.0.0.1',
): Promise<unknown> =>
  new Promise((resolve) =>
    passwords.check(user, password, known, address, (error, isRight) => resolve(error ?? isRight)),
  )

/** No pause, so that no test waits. */
const AT_ONCE = { restMs: 0, suspectEveryMs: 0 }

const busy = expect.any(PasswordsBusyError)

test('a hash has a salt of its own, and says nothing about the password', async () => {
  const { scrypt: real } = await vi.importActual<typeof import('node:crypto')>('node:crypto')
  vi.mocked(scrypt).mockImplementation(real)
  const passwords = new Passwords(AT_ONCE)
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
  const passwords = new Passwords(AT_ONCE)
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
  const passwords = new Passwords(AT_ONCE)
  const known = await hash(passwords, 'password')
  for (let wrong = 0; wrong < 3; wrong++) expect(await check(passwords, 'a', 'wrong one', known)).toBe(false)
  // From elsewhere it is right at once.
  expect(await check(new Passwords(AT_ONCE), 'a', 'password', known, '10.0.0.2')).toBe(true)
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
  const passwords = new Passwords(AT_ONCE)
  const known = await hash(passwords, 'password')
  const guesses = Array.from({ length: 15 }, (_, at) => check(passwords, 'a', `guess ${at}`, known))
  const other = check(passwords, 'b', 'password', known)
  expect(await Promise.all(guesses)).toEqual([false, false, false, ...Array(12).fill(busy)])
  expect(await other).toBe(true)
  expect(passwords.size).toBe(0)
})

test('guesses of names that nobody has keep no user out', async () => {
  const passwords = new Passwords(AT_ONCE)
  const known = await hash(passwords, 'password')
  const guesses = Array.from({ length: 18 }, (_, at) => check(passwords, `none${at}`, 'password', undefined))
  expect(await guesses[17]).toEqual(busy)
  const user = check(passwords, 'a', 'password', known, '10.0.0.2')
  expect(await user).toBe(true)
  expect(await Promise.all(guesses.slice(0, 17))).toEqual(Array(17).fill(false))
})

const NEVER = new Promise(() => {})

/** Time that passes only here; a computation takes a tenth of a second. */
function inVirtualTime() {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  let computations = 0
  vi.mocked(scrypt).mockImplementation(((...given: readonly unknown[]) => {
    computations++
    const [password, salt] = given
    const done = given.at(-1) as (error: null, key: Buffer) => void
    const key = createHash('sha256').update(`${salt} ${password}`).digest()
    setTimeout(() => done(null, key), 100)
  }) as typeof scrypt)
  const after = async (ms: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(ms))
  /** How long it takes until this answer, while `each` is called 100 times a second. */
  const waited = async (answer: Promise<unknown>, each: () => void, msMax = 60_000): Promise<number> => {
    let isDone = false
    void answer.then(() => {
      isDone = true
    })
    const startedAt = performance.now()
    while (!isDone && performance.now() - startedAt < msMax) {
      each()
      await after(10)
    }
    return performance.now() - startedAt
  }
  return { after, waited, computations: () => computations }
}

async function withHash(passwords: Passwords, after: (ms: number) => Promise<void>): Promise<string> {
  const hashed = hash(passwords, 'password')
  await after(1_000)
  return hashed
}

test.each([
  ['one address', () => '10.0.0.66', 500],
  ['ten addresses', (at: number) => `10.0.0.${at % 10}`, 500],
  ['one network of IPv6', (at: number) => `2001:db8:0:1::${at.toString(16)}`, 500],
  ['all networks of a /48', (at: number) => `2001:db8:0:${(at % 65_536).toString(16)}::1`, 500],
] as const)(
  'a named user comes in from elsewhere while %s guess: with a first login too',
  async (_, addressOf, withinMs) => {
    const { after, waited } = inVirtualTime()
    const passwords = new Passwords()
    const known = await withHash(passwords, after)
    let guesses = 0
    const guess = (): void =>
      void check(passwords, 'a', `guess ${guesses++}`, known, addressOf(guesses)).catch(() => {})
    await waited(NEVER, guess, 20_000)
    for (let time = 0; time < 2; time++) {
      const isRight = check(passwords, 'a', 'password', known, `192.0.2.${time}`)
      expect(await waited(isRight, guess)).toBeLessThanOrEqual(withinMs)
      expect(await isRight).toBe(true)
      // Not from memory the next time.
      await after(1_000_000)
      await waited(NEVER, guess, 1_000)
    }
  },
)

test('a user who comes in while guesses from many addresses begin waits for a few seconds', async () => {
  const { after, waited } = inVirtualTime()
  const passwords = new Passwords()
  const known = await withHash(passwords, after)
  let guesses = 0
  const guess = (): void => void check(passwords, 'a', `guess ${guesses++}`, known, `10.0.0.${guesses % 15}`)
  for (let count = 0; count < 100; count++) guess()
  const isRight = check(passwords, 'a', 'password', known, '192.0.2.1')
  expect(await waited(isRight, guess)).toBeLessThanOrEqual(5_000)
  expect(await isRight).toBe(true)
})

test('an hour of guesses: few from one address, no more from all than a computation a second', async () => {
  const { after, computations } = inVirtualTime()
  const passwords = new Passwords()
  const known = await withHash(passwords, after)
  const hour = async (addressOf: (at: number) => string): Promise<number> => {
    const before = computations()
    for (let second = 0; second < 3_600; second++) {
      for (let at = 0; at < 4; at++)
        void check(passwords, 'a', `guess ${second} ${at}`, known, addressOf(4 * second + at))
      await after(1_000)
    }
    return computations() - before
  }
  const fromOne = await hour(() => '10.0.0.1')
  expect(fromOne).toBeLessThanOrEqual(130)
  expect(fromOne).toBeGreaterThan(100)
  expect(await hour((at) => `10.0.1.${at % 250}`)).toBeLessThanOrEqual(3_600 + 3 * 250)
})

test('a network that guesses has a computation a second, and another one is not delayed by it', async () => {
  const { after, waited } = inVirtualTime()
  const passwords = new Passwords()
  const known = await withHash(passwords, after)
  for (let at = 0; at < 3; at++) {
    void check(passwords, `u${at}`, 'wrong one', known)
    await after(1_000)
  }
  // Users behind the same address, as behind a proxy, have their turn.
  expect(await waited(check(passwords, 'b', 'password', known), () => {})).toBeLessThanOrEqual(1_100)
  const second = check(passwords, 'c', 'password', known)
  const elsewhere = check(passwords, 'd', 'password', known, '192.0.2.1')
  expect(await waited(elsewhere, () => {})).toBeLessThanOrEqual(200)
  expect(await waited(second, () => {})).toBeLessThanOrEqual(1_100)
})

test('a network counts as one that guesses for an hour, and afterwards like any other', async () => {
  const { after, waited } = inVirtualTime()
  const passwords = new Passwords()
  const known = await withHash(passwords, after)
  const HOUR_MS = 60 * 60_000
  let user = 0
  const wrong = async (): Promise<void> => {
    void check(passwords, `wrong${++user}`, 'wrong one', known)
    await after(2_000)
  }
  /** How long two users of the network wait who come together. */
  const both = async (): Promise<number> => {
    void check(passwords, `right${++user}`, 'password', known)
    return waited(check(passwords, `right${++user}`, 'password', known), () => {})
  }
  for (let round = 0; round < 2; round++) {
    expect(await both()).toBeLessThan(500)
    for (let at = 0; at < 3; at++) await wrong()
    expect(await both()).toBeGreaterThan(900)
    await after(HOUR_MS + 10_000)
    // Two more, as anybody types, make no suspect of it.
    for (let at = 0; at < 2; at++) await wrong()
    expect(await both()).toBeLessThan(500)
    await after(HOUR_MS + 10_000)
  }
})

test('a storm of guesses keeps nobody out who logs in again before the token ends', async () => {
  const { after } = inVirtualTime()
  const passwords = new Passwords()
  const known = await withHash(passwords, after)
  const first = check(passwords, 'a', 'password', known)
  await after(1_000)
  expect(await first).toBe(true)
  for (let login = 0; login < 3; login++) {
    for (let at = 0; at < 40; at++) void check(passwords, 'a', `guess ${login} ${at}`, known)
    await after(apiLimits.authTokenMs)
    for (let at = 0; at < 40; at++) void check(passwords, 'a', `another ${login} ${at}`, known)
    expect(await check(passwords, 'a', 'password', known)).toBe(true)
  }
})

test('a right password that is sent many times at once is computed once', async () => {
  const passwords = new Passwords(AT_ONCE)
  const known = await hash(passwords, 'password')
  const checks = Array.from({ length: 15 }, () => check(passwords, 'a', 'password', known))
  await checks[0]
  // The callbacks of all others have run in the same turn.
  expect(passwords.size).toBe(0)
  expect(await Promise.all(checks)).toEqual(Array(15).fill(true))
})

test('a user who changes the own password again and again keeps nobody from setting one', async () => {
  const passwords = new Passwords(AT_ONCE)
  const hashed: string[] = []
  const set = (by: string) => hash(passwords, 'password', by).then(() => hashed.push(by))
  const own = Array.from({ length: 40 }, () => set('bob').catch((error: unknown) => error))
  await set('root')
  expect(hashed.length).toBeLessThan(4)
  expect(await Promise.all(own)).toContainEqual(busy)
})

test('a user who does not exist is refused like a wrong password, and as late', async () => {
  const passwords = new Passwords(AT_ONCE)
  const checked = check(passwords, 'nobody', 'password', undefined)
  expect(passwords.size).toBe(1)
  expect(await checked).toBe(false)
})

test('one password is checked at a time, and so many wait', async () => {
  const passwords = new Passwords(AT_ONCE)
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
