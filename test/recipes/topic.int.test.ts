import { describe, expect, vi } from 'vitest'
import { type Txn, UnavailableError } from '../../src/client/index.ts'
import { type SubscribeOptions, type Topic, type TopicMessage, topic } from '../../src/recipes/topic.ts'
import { it, itWithAnySeed, kv, loseLeader, newClient, sleep } from './simulated-test.ts'
import { unsure } from './unsure-client.ts'
import { withCall } from './with-call.ts'

let topics = 0

const newName = () => `t${++topics}`

/** Reads the first `count` messages, and acknowledges each of them in a group. */
async function taken<T>(
  from: Topic<T>,
  count: number,
  options: SubscribeOptions,
): Promise<TopicMessage<T>[]> {
  const messages: TopicMessage<T>[] = []
  for await (const message of from.subscribe(options)) {
    messages.push(message)
    if (options.group !== undefined) await message.ack()
    if (messages.length === count) break
  }
  return messages
}

const puts = ({ success = [] }: Txn, part: string): boolean =>
  success.some((each) => 'put' in each && Buffer.from(each.put?.key ?? '').includes(part))

const tooLate = () => new UnavailableError('it takes too long', { code: 'timeout', written: 'no' })

const texts = (messages: readonly TopicMessage[]) => messages.map((message) => message.text())

/** The revision of the last message that was removed because there were too many. */
async function trimmedOf(name: string): Promise<number> {
  const mark = (await kv.get(`topic/${name}/trimmed`))?.json() as { readonly revision: number } | undefined
  return mark?.revision ?? 0
}

/** The key of a message. */
async function keyOf(name: string, text: string): Promise<Uint8Array | undefined> {
  for await (const record of kv.list({ prefix: `topic/${name}/message/` }))
    if (record.text() === text) return record.keyBytes
  return undefined
}

async function published(on: Topic, count: number): Promise<number[]> {
  const revisions: number[] = []
  for (let n = 0; n < count; n++) revisions.push(await on.publish(String(n)))
  return revisions
}

describe('a topic', () => {
  it('gives every subscriber all messages, in one order, from the revision that it wants', async () => {
    const own = topic(kv, newName())
    const next = taken(own, 1, {})
    const revisions = await published(own, 5)
    const all = await taken(topic(newClient(), `t${topics}`), 5, { from: 'oldest' })
    expect(texts(all)).toEqual(['0', '1', '2', '3', '4'])
    expect(all.map(({ revision }) => revision)).toEqual(revisions)
    expect(all.every(({ missed }) => !missed)).toBe(true)
    expect(texts(await taken(own, 3, { from: revisions[2] ?? 0 }))).toEqual(['2', '3', '4'])
    // Messages that are published after a subscription has begun are delivered; which one is the first is a race.
    while ((await Promise.race([next, own.publish('later')])) === undefined) {}
    expect(await next).toHaveLength(1)
  })

  it('goes on from the messages that it holds where history is compacted, each once and in order', async () => {
    const own = topic(kv, newName())
    await published(own, 6)
    await kv.compact((await kv.put('x', '')).revision)
    const reading = taken(own, 9, { from: 'oldest' })
    for (const text of ['6', '7', '8']) await own.publish(text)
    expect(texts(await reading)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8'])
  })

  it('holds at least the last messages that it must, and says when some were missed', async () => {
    const own = topic(kv, newName(), { messagesMax: 5 })
    await published(own, 20)
    await expect.poll(() => kv.count({ prefix: `topic/t${topics}/message/` })).toBeLessThan(10)
    await kv.compact((await kv.put('x', '')).revision)
    const held = await kv.count({ prefix: `topic/t${topics}/message/` })
    expect(held).toBeGreaterThanOrEqual(5)
    const kept = await taken(own, held, { from: 'oldest' })
    expect(texts(kept)).toEqual(Array.from({ length: held }, (_, n) => String(20 - held + n)))
    expect(kept.map(({ missed }) => missed)).toEqual([true, ...Array.from({ length: held - 1 }, () => false)])
  })

  it('says that a message was missed also if it is the only one, and not if none was', async () => {
    const own = topic(kv, newName(), { messagesMax: 5 })
    const revisions = await published(own, 20)
    await kv.compact((await kv.put('x', '')).revision)
    const trimmed = await trimmedOf(`t${topics}`)
    expect(revisions).toContain(trimmed)
    for (const [from, missed] of [
      [trimmed, true],
      [trimmed + 1, false],
    ] as const)
      expect(await taken(own, 1, { from })).toMatchObject([{ missed }])
  })

  it('has the order of revisions also where history is compacted, whatever the order of its keys', async () => {
    const name = newName()
    const isPut = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const slow = withCall(kv, 'txn', async (txn, options) => {
      if (puts(txn, 'message/')) {
        isPut.resolve()
        await goOn.promise
      }
      return kv.txn(txn, options)
    })
    // The key of this message has an earlier revision than that of the other one.
    const late = topic(slow, name).publish('late')
    await isPut.promise
    const own = topic(kv, name)
    await kv.put('x', '')
    await own.publish('early')
    goOn.resolve()
    await late
    await kv.compact((await kv.put('x', '')).revision)
    expect(texts(await taken(own, 2, { from: 'oldest' }))).toEqual(['early', 'late'])
  })

  it('never holds fewer messages than it must', async () => {
    const own = topic(kv, newName(), { messagesMax: 3 })
    for (let count = 1; count <= 10; count++) {
      await own.publish('')
      expect(await kv.count({ prefix: `topic/t${topics}/message/` })).toBeGreaterThanOrEqual(
        Math.min(count, 3),
      )
    }
  })

  it('holds the last messages although its prefix has foreign keys', async () => {
    const name = newName()
    const own = topic(kv, name, { messagesMax: 8 })
    for (let n = 0; n < 8; n++)
      for (const key of ['!', 'x']) await kv.put(`topic/${name}/message/${key}${n}`, 'of another program')
    for (let n = 1; n <= 24; n++) await own.publish(String(n))
    const [oldest] = await taken(own, 1, { from: 'oldest' })
    expect(Number(oldest?.text())).toBeLessThanOrEqual(24 - 7)
  })

  it('is trimmed however many messages it holds', async () => {
    const store = newClient({ timeoutMs: 30_000 })
    await store.changeSettings({ range_keys_max: 3 })
    await published(topic(store, 'long', { messagesMax: 5 }), 20)
    await expect.poll(() => store.count({ prefix: 'topic/long/message/' })).toBeLessThan(10)
  })

  it('holds the last messages also when one of them comes late', async () => {
    const name = newName()
    const slow = Promise.withResolvers<void>()
    const hasRead = Promise.withResolvers<void>()
    const late = withCall(kv, 'txn', async (txn, options) => {
      if (puts(txn, '/message/')) {
        hasRead.resolve()
        await slow.promise
      }
      return kv.txn(txn, options)
    })
    const publishing = topic(late, name).publish('late')
    await hasRead.promise
    await published(topic(kv, name), 4)
    const trimming = withCall(kv, 'count', async (options) => {
      slow.resolve()
      await publishing
      return kv.count(options)
    })
    await topic(trimming, name, { messagesMax: 1 }).publish('before the late one')
    const held: string[] = []
    for await (const record of kv.list({ prefix: `topic/${name}/message/` })) held.push(record.text())
    expect(held).toContain('late')
  })

  it('holds the last messages also when two processes remove older ones at a time', async () => {
    const name = newName()
    await published(topic(kv, name), 10)
    const published5 = () => published(topic(kv, name, { messagesMax: 5 }), 5)
    let others: Promise<unknown> | undefined
    // Another process removes messages after the count and before the read of the oldest ones.
    const late = withCall(kv, 'list', async function* (options) {
      others ??= published5()
      await others
      yield* kv.list(options)
    })
    await published(topic(late, name, { messagesMax: 5 }), 5)
    expect(others).toBeDefined()
    expect(await kv.count({ prefix: `topic/${name}/message/` })).toBeGreaterThanOrEqual(5)
  })

  it('is trimmed as well by processes that publish one message each', async () => {
    const name = newName()
    for (let n = 0; n < 300; n++) await topic(kv, name, { messagesMax: 10 }).publish(String(n))
    await expect.poll(() => kv.count({ prefix: `topic/${name}/message/` })).toBeLessThan(200)
  })

  it('says that messages were missed, also when two processes removed them at a time', async () => {
    const name = newName()
    const revisions = await published(topic(kv, name), 10)
    const slow = Promise.withResolvers<void>()
    const hasRead = Promise.withResolvers<void>()
    // The process stops before it sets the mark, while another one removes more.
    const late = withCall(kv, 'txn', async (txn, options) => {
      if (puts(txn, '/trimmed')) {
        hasRead.resolve()
        await slow.promise
      }
      return kv.txn(txn, options)
    })
    const first = topic(late, name, { messagesMax: 1 }).publish('late')
    await hasRead.promise
    await topic(kv, name, { messagesMax: 1 }).publish('last')
    slow.resolve()
    await first
    await expect.poll(() => trimmedOf(name)).toBeGreaterThan(revisions.at(-1) ?? 0)
  })

  it('says that messages were missed only if some were removed, if its process dies while it removes them', async () => {
    const name = newName()
    let isDead = false
    const dying = withCall(kv, 'txn', async (txn, options) => {
      if (isDead) throw new Error('dead')
      const done = await kv.txn(txn, options)
      isDead = puts(txn, '/trimmed')
      return done
    })
    for (const text of ['first', 'second']) await topic(kv, name).publish(text)
    await topic(dying, name, { messagesMax: 1 }).publish('last')
    await expect.poll(() => isDead).toBe(true)
    await kv.compact((await kv.put('x', '')).revision)
    const [message] = await taken(topic(kv, name), 1, { from: 'oldest' })
    expect(message?.missed).toBe(message?.text() !== 'first')
  })

  it('is trimmed also if counting its messages takes longer than the timeout of its client', async () => {
    const name = newName()
    const slow = withCall(kv, 'count', (options) => {
      // The error of a client with this timeout.
      if ((options?.timeoutMs ?? 300) <= 1_000) return Promise.reject(tooLate())
      return kv.count(options)
    })
    const own = topic(slow, name, { messagesMax: 10 })
    for (let n = 0; n < 40; n++) await own.publish(String(n), { timeoutMs: 1_000 })
    await expect.poll(() => kv.count({ prefix: `topic/${name}/message/` })).toBeLessThan(25)
  })

  it('publishes while its messages are counted, and counts them for one publisher at a time', async () => {
    const name = newName()
    const goOn = Promise.withResolvers<void>()
    let counts = 0
    const slow = withCall(kv, 'count', async (options) => {
      // The other count is of the keys that name a revision of the future.
      if (options?.revision !== undefined) return kv.count(options)
      counts += 1
      await goOn.promise
      return kv.count(options)
    })
    const own = topic(slow, name, { messagesMax: 2 })
    await published(own, 12)
    expect(counts).toBe(1)
    goOn.resolve()
    await expect.poll(() => kv.count({ prefix: `topic/${name}/message/` })).toBe(2)
    await published(own, 2)
    expect(counts).toBe(2)
  })

  it('says that it could not be trimmed, and has published the message', async () => {
    const name = newName()
    const failing = withCall(kv, 'count', () => Promise.reject(tooLate()))
    const told: unknown[] = []
    const onError = (error: unknown) => told.push(error)
    await topic(failing, name, { messagesMax: 1, onError }).publish('x')
    expect(told).toMatchObject([{ code: 'timeout' }])
    expect(await kv.count({ prefix: `topic/${name}/message/` })).toBe(1)
    const warned = vi.spyOn(process, 'emitWarning')
    await topic(failing, name, { messagesMax: 1 }).publish('x')
    const warning = 'topic: older messages could not be removed: it takes too long'
    expect(warned.mock.calls).toEqual([[warning, 'QuorateWarning']])
  })

  it('ends to trim with its client, without an error', async () => {
    const client = newClient()
    const [counting, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const slow = withCall(client, 'count', async (options) => {
      counting.resolve()
      await goOn.promise
      return client.count(options)
    })
    const told: unknown[] = []
    const onError = (error: unknown) => told.push(error)
    const publishing = topic(slow, newName(), { messagesMax: 1, onError }).publish('x')
    await counting.promise
    await client.close()
    goOn.resolve()
    await publishing
    expect(told).toEqual([])
  })

  it('reads what it holds although history is compacted meanwhile', async () => {
    const name = newName()
    await published(topic(kv, name), 6)
    await kv.compact((await kv.put('x', '')).revision)
    const compacting = withCall(kv, 'list', async function* (options) {
      await kv.compact((await kv.put('x', '')).revision)
      yield* kv.list(options)
    })
    const all = await taken(topic(compacting, name), 6, { from: 'oldest' })
    expect(texts(all)).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  it('forgets a message after its time', async () => {
    const own = topic(kv, newName(), { ageMs: 1_000 })
    const watch = kv.watch({ prefix: `topic/t${topics}/message/`, only: 'delete' })
    await watch.ready
    await own.publish('short')
    for await (const _ of watch) break
    expect(await kv.count({ prefix: `topic/t${topics}/message/` })).toBe(0)
  })

  /** Publishes a message and waits until its time is over. */
  async function publishLost(own: Topic, name: string): Promise<void> {
    await own.publish('lost')
    await expect.poll(() => kv.count({ prefix: `topic/${name}/message/` })).toBe(0)
  }

  it('says that messages were lost by their age to a group, or to a subscriber, that was away', async () => {
    const name = newName()
    const own = topic(kv, name, { ageMs: 1_000 })
    await own.publish('one')
    const [one] = await taken(own, 1, { group: 'g', from: 'oldest' })
    expect(one?.missed).toBe(false)
    // Its own message goes, too: that is no loss.
    await expect.poll(() => kv.count({ prefix: `topic/${name}/message/` })).toBe(0)
    await own.publish('two')
    expect(await taken(own, 1, { group: 'g' })).toMatchObject([{ missed: false }])
    await publishLost(own, name)
    await own.publish('three')
    expect(await taken(own, 1, { group: 'g' })).toMatchObject([{ missed: true }])
    const away = { from: (one?.revision ?? 0) + 1 }
    expect(await taken(own, 1, away)).toMatchObject([{ missed: true }])
    // Once: the next one follows without a gap.
    await own.publish('four')
    expect((await taken(own, 2, away)).map(({ missed }) => missed)).toEqual([true, false])
    expect(await taken(own, 1, { group: 'g' })).toMatchObject([{ missed: false }])
    expect(await taken(own, 1, { from: 'oldest' })).toMatchObject([{ missed: true }])
  })

  it('says a loss by age with the next message if there is none yet', async () => {
    const name = newName()
    const own = topic(kv, name, { ageMs: 1_000 })
    const begun = (await kv.put('x', '')).revision
    await publishLost(own, name)
    const next = taken(own, 1, { from: begun })
    await sleep(100)
    await own.publish('next')
    expect(await next).toMatchObject([{ missed: true }])
  })

  it('says a loss by age only if one is possible where history was compacted', async () => {
    const name = newName()
    const own = topic(kv, name, { ageMs: 1_000 })
    const compacted = async () => {
      const { revision } = await kv.put('x', '')
      await kv.compact(revision)
      return revision
    }
    const quiet = await own.publish('processed')
    await compacted()
    // Nothing was published between its position and the oldest state of history.
    await own.publish('one')
    expect(await taken(own, 1, { from: quiet + 1 })).toMatchObject([{ missed: false }])
    await publishLost(own, name)
    await compacted()
    await own.publish('two')
    expect(await taken(own, 1, { from: quiet + 1 })).toMatchObject([{ missed: true }])
    // Something was, and nobody knows whether all of it is there.
    const own2 = topic(kv, newName(), { ageMs: 60_000 })
    const first = await own2.publish('first')
    await own2.publish('second')
    await compacted()
    expect(await taken(own2, 1, { from: first + 1 })).toMatchObject([{ missed: true }])
  })

  it('counts no message without an age, and no message that is there', async () => {
    const name = newName()
    const aged = topic(kv, name, { ageMs: 60_000 })
    const plain = topic(kv, name)
    const begun = (await kv.put('x', '')).revision
    await aged.publish('1')
    await plain.publish('2')
    await aged.publish('3')
    const all = await taken(plain, 3, { from: begun })
    expect(all.map(({ missed }) => missed)).toEqual([false, false, false])
    await kv.delete((await keyOf(name, '1')) ?? '')
    const left = await taken(plain, 2, { from: begun })
    expect(left.map(({ missed }) => missed)).toEqual([true, false])
  })

  it('yields no message whose time is over, although it has read ahead', async () => {
    const own = topic(kv, newName(), { ageMs: 1_000 })
    await published(own, 4)
    const messages = own.subscribe({ from: 'oldest' })
    expect((await messages.next()).value?.text()).toBe('0')
    await expect.poll(() => kv.count({ prefix: `topic/t${topics}/message/` })).toBe(0)
    // A message that was read less than a second ago counts as there.
    await sleep(1_000)
    await own.publish('new')
    const { value: next } = await messages.next()
    expect([next?.text(), next?.missed]).toEqual(['new', true])
    await messages.return()
  })

  it('yields no message that was removed a second ago to a subscriber that is behind', async () => {
    const own = topic(kv, newName(), { messagesMax: 4 })
    const messages = own.subscribe({ from: 'oldest' })
    await published(own, 8)
    await messages.next()
    const behind = (await messages.next()).value?.revision ?? 0
    await published(own, 32)
    await sleep(1_000)
    const trimmed = await trimmedOf(`t${topics}`)
    expect(trimmed).toBeGreaterThan(behind + 8)
    let message = (await messages.next()).value
    // The first ones were read before the watch began.
    while (message !== undefined && !message.missed) message = (await messages.next()).value
    expect(message?.revision).toBeGreaterThan(trimmed)
    await messages.return()
  })

  it('leaves out what an import has restored: later messages, positions and marks of another cluster', async () => {
    const name = newName()
    const key = (rest: string) => `topic/${name}/${rest}`
    for (let n = 0; n < 4; n++) await kv.put(key(`message/0000009000000000-00000${n}aa`), 'restored')
    await kv.put(key('position/g'), '{"revision":9000000000}')
    await kv.put(key('trimmed'), '9000000000')
    const own = topic(kv, name, { messagesMax: 4 })
    for (let n = 0; n < 24; n++) await own.publish(String(n))
    expect(await own.position('g')).toBeUndefined()
    const oldest = await taken(own, 4, { from: 'oldest' })
    expect(texts(oldest)).not.toContain('restored')
    expect(Number(oldest[0]?.text())).toBeLessThanOrEqual(20)
    expect(Number(oldest[0]?.text())).toBeGreaterThan(8)
    expect(texts(await taken(own, 4, { from: 'oldest', group: 'g' }))).toEqual(texts(oldest))
  })

  it('has values as JSON', async () => {
    const own = topic<{ readonly to: string }>(kv, newName())
    await own.publishJson({ to: 'Ann' })
    const [message] = await taken(own, 1, { from: 'oldest' })
    expect(message?.json().to).toBe('Ann')
    await expect(own.publishJson(undefined as never)).rejects.toThrow('publishJson: value must be JSON')
  })

  it('ends with its signal', async () => {
    const end = new AbortController()
    const reading = taken(topic(kv, newName()), 1, { signal: end.signal })
    end.abort()
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('refuses what is no option', async () => {
    expect(() => topic(kv, 'x', { messagesMax: 0 })).toThrow(/messagesMax/)
    await expect(taken(topic(kv, 'x'), 1, { from: 'latest' as never })).rejects.toThrow(/'oldest' or 'next'/)
    const messages = topic(kv, newName()).subscribe({ from: 'oldest' })
    await topic(kv, `t${topics}`).publish('x')
    await expect((await messages.next()).value?.ack()).rejects.toThrow(/only a subscription of a group/)
    await messages.return()
  })
})

describe('a group', () => {
  it('goes on behind what it has acknowledged, in whichever process', async () => {
    const name = newName()
    await published(topic(kv, name), 5)
    const group = { group: 'a/b', from: 'oldest' } as const
    expect(texts(await taken(topic(kv, name), 2, group))).toEqual(['0', '1'])
    expect(texts(await taken(topic(newClient(), name), 3, group))).toEqual(['2', '3', '4'])
    // Another group has a position of its own.
    expect(texts(await taken(topic(kv, name), 1, { group: 'a', from: 'oldest' }))).toEqual(['0'])
    const position = await topic(kv, name).position('a/b')
    expect(position).toBeGreaterThan((await topic(kv, name).position('a')) ?? 0)
    await topic(kv, name).forgetGroup('a/b')
    expect(await topic(kv, name).position('a/b')).toBeUndefined()
  })

  it('delivers again what was not acknowledged', async () => {
    const own = topic(kv, newName())
    await published(own, 2)
    for await (const message of own.subscribe({ group: 'g', from: 'oldest' })) {
      expect(message.text()).toBe('0')
      break
    }
    expect(texts(await taken(own, 2, { group: 'g' }))).toEqual(['0', '1'])
  })

  it('has one member at a time; the next takes over, and the former one moves nothing', async () => {
    const name = newName()
    await published(topic(kv, name), 3)
    const first = topic(newClient(), name).subscribe({ group: 'g', from: 'oldest' })
    const message = (await first.next()).value
    const leases: (string | undefined)[] = []
    for await (const { lease } of kv.list({ prefix: `topic/${name}/member/g/` })) leases.push(lease)
    expect(leases).toHaveLength(1)
    const second = taken(topic(kv, name), 3, { group: 'g' })
    await kv.revokeLease(leases[0] ?? '')
    expect(texts(await second)).toEqual(['0', '1', '2'])
    await expect(message?.ack()).rejects.toMatchObject({ code: 'member_lost' })
    await first.return()
  })

  it('moves its position only forward, in whichever order its messages are acknowledged', async () => {
    const name = newName()
    const [, , last] = await published(topic(kv, name), 3)
    const earlier = Promise.withResolvers<void>()
    let moves = 0
    const slow = withCall(kv, 'txn', async (txn, options) => {
      // The first read is that of the beginning.
      if (puts(txn, '/position/') && ++moves === 2) await earlier.promise
      return kv.txn(txn, options)
    })
    const messages = topic(slow, name).subscribe({ group: 'g', from: 'oldest' })
    const [first, , third] = [await messages.next(), await messages.next(), await messages.next()]
    const late = first.value?.ack()
    await third.value?.ack()
    earlier.resolve()
    await late
    expect(await topic(kv, name).position('g')).toBe(last)
    await messages.return()
  })

  it('keeps its place from the moment when it begins', async () => {
    const own = topic(kv, newName())
    const end = new AbortController()
    const idle = taken(own, 1, { group: 'g', signal: end.signal })
    while ((await own.position('g')) === undefined) {}
    end.abort()
    await idle.catch(() => undefined)
    await own.publish('while nobody listens')
    expect(texts(await taken(own, 1, { group: 'g' }))).toEqual(['while nobody listens'])
  })
})

itWithAnySeed(
  'loses and repeats nothing, whatever answers are lost and although the leader dies',
  async () => {
    const name = newName()
    const surely = new Set<string>()
    const perhaps = new Set<string>()
    const clients = [1, 2, 3].map(() => unsure(newClient({ timeoutMs: 20_000 }), 0.2))
    const from = (await kv.put('x', '')).revision
    const publish = async (at: number) => {
      const own = topic(clients[at]?.kv ?? kv, name)
      for (let n = 0; n < 20; n++) {
        try {
          await own.publish(`${at}-${n}`)
          surely.add(`${at}-${n}`)
        } catch {
          perhaps.add(`${at}-${n}`)
        }
      }
    }
    const read = async () => {
      const seen: TopicMessage[] = []
      for await (const message of topic(newClient(), name).subscribe({ from })) {
        if (message.text() === 'end') break
        seen.push(message)
      }
      return seen
    }
    const readers = [read(), read()]
    const publishers = [0, 1, 2].map(publish)
    await sleep(20)
    loseLeader()
    await Promise.all(publishers)
    await topic(kv, name).publish('end')
    const [one = [], other = []] = await Promise.all(readers)
    expect(surely.size).toBeGreaterThan(0)
    expect(texts(one)).toEqual(texts(other))
    expect(new Set(texts(one)).size).toBe(one.length)
    expect([...surely].filter((text) => !texts(one).includes(text))).toEqual([])
    expect(texts(one).filter((text) => !surely.has(text) && !perhaps.has(text))).toEqual([])
    const revisions = one.map(({ revision }) => revision)
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b))
  },
)
