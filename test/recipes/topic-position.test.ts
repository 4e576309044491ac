// The position of a group, as its active member knows it: each acknowledgement replaces the position that was read or
// written last.

import { expect } from 'vitest'
import { topic } from '../../src/recipes/index.ts'
import { it, kv, newClient } from './simulated-test.ts'
import { withCall } from './with-call.ts'

/** A member that has received the first of five messages, and the number of transactions that it has sent. */
async function member(name: string) {
  const own = newClient()
  const sent = { txns: 0 }
  const counting = withCall(own, 'txn', (...args) => {
    sent.txns += 1
    return own.txn(...args)
  })
  const news = topic(kv, name)
  for (const value of ['1', '2', '3', '4', '5']) await news.publish(value)
  const messages = topic(counting, name).subscribe({ group: 'g', from: 'oldest' })
  const next = async () => {
    const { value } = await messages.next()
    if (value === undefined) throw new Error('the subscription has ended')
    return value
  }
  return { own, sent, news, messages, next }
}

it('each acknowledgement is one transaction, and moves the position', async () => {
  const { own, sent, news, messages, next } = await member('each')
  for (let n = 1; n <= 4; n++) {
    const message = await next()
    const before = sent.txns
    await message.ack()
    // The first one creates nothing: the group has a position since it began.
    expect([n, sent.txns - before]).toEqual([n, 1])
    expect(await news.position('g')).toBe(message.revision)
  }
  await messages.return()
  await own.close()
})

it('an earlier message moves it nowhere', async () => {
  const { own, sent, news, messages, next } = await member('earlier')
  const [first, second] = [await next(), await next()]
  await second.ack()
  const before = sent.txns
  await first.ack()
  expect(sent.txns).toBe(before)
  expect(await news.position('g')).toBe(second.revision)
  await messages.return()
  await own.close()
})

it('a position that was forgotten meanwhile is written again', async () => {
  const { own, sent, news, messages, next } = await member('forgotten')
  await (await next()).ack()
  await news.forgetGroup('g')
  const second = await next()
  const before = sent.txns
  await second.ack()
  // It learns that the position is gone, creates it, and moves it.
  expect(sent.txns - before).toBe(3)
  expect(await news.position('g')).toBe(second.revision)
  await (await next()).ack()
  expect(sent.txns - before).toBe(4)
  await messages.return()
  await own.close()
})

it('of a group that begins later than the store is at most the revision of the store', async () => {
  const news = topic(kv, 'later')
  const revision = await news.publish('old')
  const end = new AbortController()
  const messages = news.subscribe({ group: 'g', from: revision + 1_000, signal: end.signal })
  const waits = expect(messages.next()).rejects.toMatchObject({ code: 'aborted' })
  await expect.poll(() => news.position('g')).toBeGreaterThanOrEqual(revision)
  end.abort()
  await waits
  expect(await news.position('g')).toBeLessThan(revision + 1_000)
  await news.publish('new')
  for await (const message of news.subscribe({ group: 'g' })) {
    expect(message.text()).toBe('new')
    break
  }
})
