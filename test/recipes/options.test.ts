// Every call of every recipe with an unknown option, with a signal that has fired, and with a time limit in an outage.
// The calls are found in the objects themselves, so a new one cannot be forgotten.

import { describe, expect } from 'vitest'
import * as recipes from '../../src/recipes/index.ts'
import { kv, node, simulatedTests, sleep } from './simulated-test.ts'

const {
  barrier,
  cache,
  campaign,
  config,
  counter,
  followLeader,
  leaderOf,
  lock,
  queue,
  rateLimiter,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} = recipes

/** The time limit of the client is out of reach. */
const { it } = simulatedTests({ timeoutMs: 3_600_000 })
const NEVER = { waitMs: Number.POSITIVE_INFINITY } as const

/** Makes an object of a recipe, anew for each call. */
const objects = {
  'the functions': async () => ({ ...recipes }),
  barrier: async (name: string) => barrier(kv, name),
  counter: async (name: string) => counter(kv, name),
  rwLock: async (name: string) => rwLock(kv, name),
  semaphore: async (name: string) => semaphore(kv, name, 1),
  'held lock': (name: string) => lock(kv, name),
  queue: async (name: string) => queue(kv, name),
  'dead letters': async (name: string) => queue(kv, name).dead,
  item: async (name: string) => {
    await queue(kv, name).push('x')
    return queue(kv, name).pop()
  },
  rateLimiter: async (name: string) => rateLimiter(kv, name, { limit: 1, windowMs: 1_000 }),
  topic: async (name: string) => topic(kv, name),
  'message of a group': async (name: string) => {
    await topic(kv, name).publish('x')
    const messages = topic(kv, name).subscribe({ group: 'g', from: 'oldest' })
    const { value } = await messages.next()
    return value ?? undefined
  },
  registry: async (name: string) => registry(kv, name),
  registration: (name: string) => registry(kv, name).register({ url: 'u' }),
  resolver: async (name: string) => registry(kv, name).resolver({ timeoutMs: 3_600_000 }),
  saga: async (name: string) => saga(kv, name, [{ name: 'a', run: () => 1 }]),
  cache: async (name: string) => cache(kv, { prefix: name }),
  config: (name: string) => config(kv, { key: name, validate: () => 1 }),
} satisfies Record<string, (name: string) => Promise<object | undefined>>
type ObjectName = keyof typeof objects

interface Call {
  /** Calls it with these options, and returns what it waits for. */
  readonly run: (object: never, name: string, options: object) => unknown
  /** The end of a call with a signal that has fired. Default: it rejects. */
  readonly aborted?: 'resolves'
  /** The end of a call that reaches no node in its time. Default: it rejects. */
  readonly late?: 'resolves' | 'has no time limit'
}

/** `run` gives the options as the last argument. */
const call = (run: Call['run'], ends: Omit<Call, 'run'> = {}): Call => ({ run, ...ends })
const first = (stream: AsyncIterator<unknown>) => stream.next()
/** The lease ends by itself, so `false` is no error. */
const RELEASE = { aborted: 'resolves', late: 'resolves' } as const
const UNTIL_SIGNAL = { aborted: 'resolves', late: 'has no time limit' } as const

type Calls<T> = { readonly [Method in keyof T]?: Call | 'has no options' }
const own = <T>(table: Calls<T>) => table

const calls: {
  readonly [Name in ObjectName]: Readonly<Record<string, Call | 'has no options' | undefined>>
} = {
  'the functions': {
    // Their arguments are those of the objects that they make.
    ...Object.fromEntries(
      ['barrier', 'counter', 'rwLock', 'semaphore'].map((name) => [name, 'has no options' as const]),
    ),
    cache: call((_, name, options) => cache(kv, { prefix: name, ...options }), UNTIL_SIGNAL),
    campaign: call((_, name, options) => campaign(kv, name, options)),
    config: call((_, name, options) => config(kv, { key: name, validate: () => 1, ...options })),
    followLeader: call((_, name, options) => first(followLeader(kv, name, options))),
    leaderOf: call((_, name, options) => leaderOf(kv, name, options)),
    lock: call((_, name, options) => lock(kv, name, options)),
    queue: call((_, name, options) => queue(kv, name, options), UNTIL_SIGNAL),
    rateLimiter: call(
      (_, name, options) => rateLimiter(kv, name, { limit: 1, windowMs: 1_000, ...options }),
      UNTIL_SIGNAL,
    ),
    registry: 'has no options',
    // It reports that it cannot begin, and stays a candidate.
    runAsLeader: call((_, name, options) => runAsLeader(kv, name, () => 1, options), {
      late: 'has no time limit',
    }),
    saga: call((_, name, options) => saga(kv, name, [{ name: 'a', run: () => 1 }], options), UNTIL_SIGNAL),
    topic: call((_, name, options) => topic(kv, name, options), UNTIL_SIGNAL),
  },
  barrier: own<recipes.Barrier>({
    raise: call((it: recipes.Barrier, _, options) => it.raise(options)),
    lower: call((it: recipes.Barrier, _, options) => it.lower(options)),
    isRaised: call((it: recipes.Barrier, _, options) => it.isRaised(options)),
    wait: call((it: recipes.Barrier, _, options) => it.wait(options)),
  }),
  counter: own<recipes.Counter>({
    get: call((it: recipes.Counter, _, options) => it.get(options)),
    add: call((it: recipes.Counter, _, options) => it.add(1, options)),
  }),
  rwLock: own<recipes.RwLock>({
    read: call((it: recipes.RwLock, _, options) => it.read(options)),
    write: call((it: recipes.RwLock, _, options) => it.write(options)),
  }),
  semaphore: own<recipes.Semaphore>({
    acquire: call((it: recipes.Semaphore, _, options) => it.acquire(options)),
  }),
  'held lock': own<recipes.HeldLock>({
    put: call((it: recipes.HeldLock, name, options) => it.put(name, 'x', options)),
    txn: call((it: recipes.HeldLock, _, options) => it.txn({}, options)),
    release: call((it: recipes.HeldLock, _, options) => it.release(options), RELEASE),
    throwIfLost: 'has no options',
    guard: 'has no options',
  }),
  queue: own<recipes.Queue>({
    push: call((it: recipes.Queue, _, options) => it.push('x', options)),
    pushJson: call((it: recipes.Queue, _, options) => it.pushJson('x', options)),
    pop: call((it: recipes.Queue, _, options) => it.pop({ ...NEVER, ...options })),
    peek: call((it: recipes.Queue, _, options) => it.peek(options)),
    len: call((it: recipes.Queue, _, options) => it.len(options)),
    consume: call(
      (it: recipes.Queue, _, options) => it.consume(() => {}, { signal: AbortSignal.abort(), ...options }),
      UNTIL_SIGNAL,
    ),
  }),
  'dead letters': own<recipes.DeadLetters>({
    list: call((it: recipes.DeadLetters, _, options) => first(it.list(options))),
    requeue: call((it: recipes.DeadLetters, _, options) => it.requeue(undefined, options)),
    delete: call((it: recipes.DeadLetters, _, options) => it.delete('id', options)),
  }),
  item: own<recipes.QueueItem>({
    ack: call((it: recipes.QueueItem, _, options) => it.ack(options)),
    nack: call((it: recipes.QueueItem, _, options) => it.nack(options)),
    extend: call((it: recipes.QueueItem, _, options) => it.extend(options)),
    text: 'has no options',
    json: 'has no options',
  }),
  rateLimiter: own<recipes.RateLimiter>({
    take: call((it: recipes.RateLimiter, _, options) => it.take(1, options)),
  }),
  topic: own<recipes.Topic>({
    publish: call((it: recipes.Topic, _, options) => it.publish('x', options)),
    publishJson: call((it: recipes.Topic, _, options) => it.publishJson('x', options)),
    subscribe: call((it: recipes.Topic, _, options) => first(it.subscribe(options))),
    position: call((it: recipes.Topic, _, options) => it.position('g', options)),
    forgetGroup: call((it: recipes.Topic, _, options) => it.forgetGroup('g', options)),
  }),
  'message of a group': own<recipes.TopicMessage>({
    ack: call((it: recipes.TopicMessage, _, options) => it.ack(options)),
    text: 'has no options',
    json: 'has no options',
  }),
  registry: own<recipes.Registry>({
    register: call((it: recipes.Registry, _, options) => it.register({ url: 'u', ...options })),
    list: call((it: recipes.Registry, _, options) => it.list(options)),
    watch: call((it: recipes.Registry, _, options) => first(it.watch(options))),
    resolver: call((it: recipes.Registry, _, options) => it.resolver(options), UNTIL_SIGNAL),
  }),
  registration: own<recipes.Registration>({
    update: call((it: recipes.Registration, _, options) => it.update({ weight: 2 }, options)),
    close: call((it: recipes.Registration, _, options) => it.close(options), RELEASE),
  }),
  resolver: own<recipes.Resolver>({
    resolve: call((it: recipes.Resolver, _, options) => it.resolve(options)),
    close: 'has no options',
  }),
  saga: own<recipes.Saga<unknown>>({
    run: call((it: recipes.Saga<unknown>, _, options) => it.run('1', null, options)),
    resume: call((it: recipes.Saga<unknown>, _, options) => it.resume(options)),
    keepResuming: call(
      (it: recipes.Saga<unknown>, _, options) => it.keepResuming({ signal: AbortSignal.abort(), ...options }),
      UNTIL_SIGNAL,
    ),
    get: call((it: recipes.Saga<unknown>, _, options) => it.get('1', options)),
    unfinished: call((it: recipes.Saga<unknown>, _, options) => first(it.unfinished(options))),
    forget: call((it: recipes.Saga<unknown>, _, options) => it.forget('1', options)),
  }),
  cache: own<recipes.Cache>({
    get: call((it: recipes.Cache, _, options) => it.get('x', undefined, options)),
    close: 'has no options',
  }),
  config: own<recipes.Config<unknown>>({ onChange: 'has no options', close: 'has no options' }),
}

/** The names of the functions of an object, inherited ones included. */
function methodsOf(object: object): string[] {
  const names = new Set<string>()
  for (let at = object; at !== Object.prototype && at !== null; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) {
      const descriptor = Object.getOwnPropertyDescriptor(at, name)
      if (typeof descriptor?.value === 'function' && name !== 'constructor' && !name.endsWith('Error'))
        names.add(name)
    }
  return [...names].toSorted()
}

let names = 0
const newName = () => `n${++names}`

/** The end of a call: it resolves, or the error. 'hangs': neither, for a minute. */
const endOf = (waits: unknown): Promise<unknown> =>
  Promise.race([
    Promise.resolve(waits).then(
      () => 'resolves',
      (error: unknown) => error,
    ),
    sleep(60_000).then(() => 'hangs'),
  ])

/** The same for an error that is thrown at once. */
async function ended(run: () => unknown): Promise<unknown> {
  try {
    return await endOf(run())
  } catch (error) {
    return error
  }
}

async function make(object: ObjectName): Promise<{ readonly made: never; readonly name: string }> {
  const name = newName()
  return { made: (await objects[object](name)) as never, name }
}

async function state() {
  const [records, leases]: [string[], string[]] = [[], []]
  for await (const { key } of kv.list()) records.push(key)
  for await (const { id } of kv.leases()) leases.push(id)
  return { records, leases }
}

describe.each(Object.keys(objects) as ObjectName[])('%s', (object) => {
  const table = calls[object]
  it('has no call that this table lacks', async () => {
    const { made } = await make(object)
    expect(methodsOf(made)).toEqual(Object.keys(table).toSorted())
  })

  const withOptions = Object.entries(table).flatMap(([name, each]) =>
    each === undefined || each === 'has no options' ? [] : [[name, each] as const],
  )
  if (withOptions.length === 0) return

  it.each(withOptions)('%s refuses an unknown option by its name', async (_, { run }) => {
    const { made, name } = await make(object)
    const end = await ended(() => run(made, name, { nonsense: 1 }))
    expect(end).toBeInstanceOf(TypeError)
    expect(String(end)).toContain('"nonsense"')
  })

  it.each(withOptions)('%s ends with a signal that has fired, and leaves nothing behind', async (_, each) => {
    const { made, name } = await make(object)
    const before = await state()
    const optionNames = { signal: AbortSignal.abort() }
    const end = await ended(() => each.run(made, name, optionNames))
    // A factory has no signal: its object has calls.
    if (each.late === 'has no time limit' && end instanceof TypeError)
      expect(String(end)).toContain('no option "signal"')
    else if (each.aborted === 'resolves') expect(end).toBe('resolves')
    else expect(end).toMatchObject({ name: 'AbortError', code: 'aborted', written: 'no' })
    await sleep(50)
    const after = await state()
    expect(after.records.filter((key) => !before.records.includes(key))).toEqual([])
    expect(after.leases.filter((id) => !before.leases.includes(id))).toEqual([])
  })

  it.each(withOptions.filter(([, { late }]) => late !== 'has no time limit'))(
    '%s ends in its time while no node answers',
    async (_, each) => {
      const { made, name } = await make(object)
      node().pause()
      const begunAt = performance.now()
      const end = await ended(() => each.run(made, name, { timeoutMs: 300 }))
      const tookMs = performance.now() - begunAt
      node().resume()
      if (each.late === 'resolves') expect(end).toBe('resolves')
      else
        expect(end).toMatchObject({
          code: expect.stringMatching(/^(?:timeout|outcome_unknown|config_unreachable)$/),
        })
      // Virtual time.
      expect(tookMs).toBeLessThan(5_000)
    },
  )
})
