// Outcomes of changes after tries that ended differently, in each order. The page says "no" only if no try was applied.

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { get } from '../../src/operations/get.ts'
import { put } from '../../src/operations/put.ts'
import { answer, hang, problem, type SentRequest, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  readonly RefusedError: new (...args: never) => { readonly problem: { readonly written: string } }
  readonly NoAnswerError: new (...args: never) => { readonly written: string }
  setEndpoints(endpoints: readonly { readonly node: string; readonly base: string }[]): void
  run(operation: unknown, request: object): Promise<unknown>
  readonly Changes: new () => { make(operation: unknown, request: object): Promise<unknown> }
  nameChange(): object
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
}
const node = stubPage()
let page: Modules
beforeAll(async () => {
  const names = ['connection', 'change', 'credentials'].map((name) => load<object>(`cluster/${name}.ts`))
  page = Object.assign({}, ...(await Promise.all(names)))
})
beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  page.forgetUserToken()
  page.setEndpoints([{ node: 'n1', base: '' }])
  vi.useRealTimers()
})

/** The answers of a node to one try: whether the change may be applied then, and whether the page may try again. */
const TRIES = {
  served: { respond: () => answer(RESULT), applied: 'yes' },
  broken: {
    respond: (): Response => {
      throw new TypeError('Failed to fetch')
    },
    applied: 'maybe',
  },
  slow: { respond: hang, applied: 'maybe' },
  failed: { respond: () => problem('internal', 500), applied: 'maybe' },
  unknown: { respond: () => problem('outcome_unknown', 504), applied: 'maybe' },
  leaderless: { respond: () => problem('no_leader', 503), applied: 'no' },
  overloaded: { respond: () => problem('overloaded', 429), applied: 'no' },
  forbidden: { respond: () => problem('permission_denied', 403), applied: 'no' },
  changed: { respond: () => problem('precondition_failed', 412, { current: null }), applied: 'no' },
} as const
type Try = keyof typeof TRIES
const NAMES = Object.keys(TRIES) as readonly Try[]
const RESULT = { revision: 3, create_revision: 2, mod_revision: 3, version: 2 }

const request = (idempotency: object | undefined) => ({
  ...{ kind: 'put', key: new Uint8Array([1]), value: new Uint8Array([2]), prev: false, idempotency },
  condition: undefined,
})

/** The outcome of a change as the page states it: made, not made, or not known. */
async function outcomeOf(made: Promise<unknown>): Promise<'made' | 'no' | 'unknown'> {
  const outcome = made.then(
    () => 'made' as const,
    (error: unknown) => {
      if (error instanceof page.RefusedError) return error.problem.written as 'no' | 'unknown'
      if (error instanceof page.NoAnswerError) return error.written as 'no' | 'unknown'
      throw error
    },
  )
  await vi.advanceTimersByTimeAsync(120_000)
  return outcome
}

/** One after the other, and the last one from then on. */
function serveTries(tries: readonly Try[]): { readonly made: () => readonly Try[] } {
  const made: Try[] = []
  node.serve = (sent: SentRequest) => {
    const next = tries[Math.min(made.length, tries.length - 1)] ?? 'served'
    made.push(next)
    return TRIES[next].respond(sent)
  }
  return { made: () => made }
}

/** Says "no" and "made" only where that is certain. A refused condition covers earlier tries: it has the same token. */
function expectHonest(outcome: 'made' | 'no' | 'unknown', made: readonly Try[]): void {
  const applied = made.map((each) => TRIES[each].applied)
  const maybe = applied.slice(0, made.at(-1) === 'changed' ? 0 : undefined).includes('maybe')
  expect(outcome, made.join()).toBe(made.at(-1) === 'served' ? 'made' : maybe ? 'unknown' : 'no')
}

describe('a change with a token, tried at one node', () => {
  const pairs = NAMES.flatMap((first) => NAMES.map((second) => [first, second] as const))
  test('each pair of outcomes, in each order', async () => {
    for (const pair of pairs) {
      const tries = serveTries(pair)
      const outcome = await outcomeOf(new page.Changes().make(put, request(page.nameChange())))
      expectHonest(outcome, tries.made())
    }
  })

  test('each outcome after three others', async () => {
    for (const [first, second] of pairs) {
      const tries = serveTries(['leaderless', first, 'overloaded', second])
      const outcome = await outcomeOf(new page.Changes().make(put, request(page.nameChange())))
      expectHonest(outcome, tries.made())
    }
  })

  test('the same change, made again in the dialog, does not forget the tries before', async () => {
    for (const [first, second] of pairs) {
      if (TRIES[first].applied !== 'maybe') continue
      const changes = new page.Changes()
      serveTries([first])
      expect(await outcomeOf(changes.make(put, request(page.nameChange())))).toBe('unknown')
      const tries = serveTries([second])
      expectHonest(await outcomeOf(changes.make(put, request(page.nameChange()))), [first, ...tries.made()])
    }
  })
})

test.each(NAMES)('a change without a token is tried once: %s', async (only) => {
  const tries = serveTries([only])
  expectHonest(await outcomeOf(new page.Changes().make(put, request(undefined))), tries.made())
  expect(tries.made()).toEqual([only])
})

/** Answers of the console of a local cluster in place of a node, and whether the change may be applied then. */
const RELAYED = {
  broken: TRIES.broken,
  slow: TRIES.slow,
  'not sent': { respond: () => relayed('not_ready'), applied: 'no' },
  'cut off': { respond: () => relayed('outcome_unknown'), applied: 'maybe' },
} as const
const relayed = (code: string): Response =>
  Response.json(
    { type: `urn:quorate:problem:${code}`, title: code, status: 502, code, detail: code },
    { status: 502 },
  )

describe('a change at the nodes of a local cluster, one after the other', () => {
  const names = Object.keys(RELAYED) as readonly (keyof typeof RELAYED)[]
  const cases = names.flatMap((one) =>
    names.flatMap((two) => names.map((three) => [one, two, three] as const)),
  )
  const ENDPOINTS = ['n1', 'n2', 'n3'].map((name) => ({ node: name, base: `/nodes/${name}` }))

  test.each(['with a token', 'without one'])('%s, each triple of outcomes, in each order', async (which) => {
    for (const triple of cases) {
      page.setEndpoints(ENDPOINTS)
      const sent: (keyof typeof RELAYED)[] = []
      node.serve = (each) => {
        const next = triple[Math.min(sent.length, 2)] ?? 'broken'
        sent.push(next)
        return RELAYED[next].respond(each)
      }
      const token = which === 'with a token' ? page.nameChange() : undefined
      const outcome = await outcomeOf(page.run(put, request(token)))
      const maybe = sent.some((each) => RELAYED[each].applied === 'maybe')
      expect(outcome, sent.join()).toBe(maybe ? 'unknown' : 'no')
      // Without a token, no try follows one that may have been applied.
      const unknownAt = sent.findIndex((each) => RELAYED[each].applied === 'maybe')
      if (token === undefined && unknownAt !== -1) expect(sent, sent.join()).toHaveLength(unknownAt + 1)
      // A node that hangs has used up the time of a change.
      if (sent.includes('slow')) expect(sent.indexOf('slow'), sent.join()).toBe(sent.length - 1)
    }
  })

  test('a read is made at each of them, and says nothing of changes', async () => {
    for (const triple of cases) {
      page.setEndpoints(ENDPOINTS)
      let at = 0
      node.serve = (each) => RELAYED[triple[at++] ?? 'broken'].respond(each)
      const read = { kind: 'get', key: new Uint8Array([1]), freshness: {} }
      expect(await outcomeOf(page.run(get, read)), triple.join()).toBe('no')
      expect(at).toBe(3)
    }
  })
})

test('whatever a try comes to, no try is made for a user who has logged in meanwhile', async () => {
  for (const name of NAMES) {
    page.keepUserToken('ann', 'token-of-ann')
    const senders: (string | undefined)[] = []
    node.serve = (sent) => {
      senders.push(sent.headers.Authorization)
      page.keepUserToken('bob', 'token-of-bob')
      return TRIES[name].respond(sent)
    }
    await outcomeOf(new page.Changes().make(put, request(page.nameChange())))
    expect(senders, name).toEqual(['Bearer token-of-ann'])
  }
})
