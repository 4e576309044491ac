// Locks and queues in histories with a log: for each promise a history in which it is broken, and beside it the nearest
// one in which it is kept.

import { describe, expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import { DRAIN } from '../../../jepsen-lite/checker/queues.ts'
import type { WatchMessage } from '../../../jepsen-lite/checker/watch/index.ts'
import type { RecordedResult } from '../../../jepsen-lite/workload/history.ts'
import { type Asked, Story } from './story.ts'

const foundIn = (story: Story): string => {
  const { verdict, findings } = judge(story.history)
  expect(verdict).toBe(findings.length > 0 ? 'violation' : 'pass')
  return findings.map(({ check, message }) => `${check}: ${message}`).join('\n')
}

describe('locks', () => {
  class Locked {
    readonly story = new Story({ workload: 'lock', log: 'log' })
    readonly #log: (told: WatchMessage) => void
    /** The key of the holder. */
    #holder: string | undefined
    #values = 0
    #revision = 1
    readonly #rows = new Map<string, { readonly createRevision: number; readonly version: number }>()

    constructor() {
      this.#log = this.story.watch({ start: '', from: 1, prev: false, values: true })
      this.#log({ kind: 'created', revision: 1, from: 2 })
    }

    /** A client creates its key at this revision, waits until the holder before it has gone, and gets the answer. */
    lock(token: number): this {
      return this.waits(token).goes().holds(token)
    }

    waits(token: number): this {
      const key = `lock/a/${token}`
      if (this.#rows.has(key)) return this
      while (this.#revision < token - 1) this.#set('other', '')
      this.#set(key, '')
      return this
    }

    /** The key of the holder is deleted. */
    goes(): this {
      if (this.#holder === undefined) return this
      this.#revision += 1
      this.#log({ kind: 'events', revision: this.#revision, events: [{ key: this.#holder, type: 'delete' }] })
      this.#holder = undefined
      return this
    }

    holds(token: number): this {
      this.#holder = `lock/a/${token}`
      this.story.tell({ f: 'lock', name: 'a' }, { token })
      return this
    }

    ask(token: number): { readonly asked: Asked; readonly value: string } {
      this.#values += 1
      const value = `v${this.#values}`
      return {
        asked: this.story.ask({ f: 'guarded-put', name: 'a', token, key: 'g', value }, `c${token}`),
        value,
      }
    }

    /** The store makes it. Returns the revision. */
    make(value: string): number {
      return this.#set('g', value)
    }

    #set(key: string, value: string): number {
      this.#revision += 1
      const revision = this.#revision
      const { createRevision = revision, version: before = 0 } = this.#rows.get(key) ?? {}
      const version = before + 1
      this.#rows.set(key, { createRevision, version })
      const record = { key, value, createRevision, modRevision: revision, version }
      this.#log({ kind: 'events', revision, events: [{ key, type: 'put', record }] })
      return revision
    }

    put(token: number): this {
      const { asked, value } = this.ask(token)
      asked.ok({ revision: this.make(value) })
      return this
    }

    refused(token: number): this {
      this.ask(token).asked.ok({ applied: false })
      return this
    }

    /** By an answer that tells the present revision. */
    refusedNow(token: number): this {
      this.ask(token).asked.ok({ applied: false, revision: this.#revision })
      return this
    }
  }

  test('one holder after the other, and one that comes too late', () => {
    expect(foundIn(new Locked().lock(5).put(5).put(5).lock(9).put(9).refused(5).put(9).story)).toBe('')
  })

  test('a change under a lower token after one under a higher', () => {
    const found = foundIn(new Locked().lock(5).lock(9).put(9).put(5).story)
    expect(found).toContain('locks: the lock a was not kept')
    expect(found).toContain('under token 5 at revision 12')
  })

  test('a change by one who has released it, when nobody else has it', () => {
    expect(foundIn(new Locked().lock(5).put(5).goes().refused(5).story)).toBe('')
    expect(foundIn(new Locked().lock(5).put(5).goes().put(5).story)).toContain(
      'under token 5 of the lock a at revision 8, and the key that it had created, lock/a/5, was gone',
    )
  })

  test('a change by one who waits, while another one has it', () => {
    expect(foundIn(new Locked().lock(5).waits(9).put(5).goes().holds(9).put(9).story)).toBe('')
    expect(foundIn(new Locked().lock(5).waits(9).holds(9).put(9).story)).toContain(
      'under token 9 of the lock a at revision 10, and lock/a/5 of revision 5 stood before its key',
    )
  })

  test('a change under a token that is the number of no key', () => {
    expect(foundIn(new Locked().lock(5).holds(3).put(3).story)).toContain(
      'and this revision had created no key',
    )
  })

  test('a change that began after another client was told that it holds the lock', () => {
    expect(foundIn(new Locked().lock(5).lock(9).put(5).story)).toContain(
      'held the lock a with token 9, and then',
    )
    const early = new Locked().lock(5)
    const { asked, value } = early.ask(5)
    const revision = early.make(value)
    early.lock(9)
    asked.ok({ revision })
    expect(foundIn(early.put(9).story)).toBe('')
  })

  test('two holders with one token', () => {
    expect(foundIn(new Locked().lock(5).lock(5).story)).toContain('both hold the lock a with token 5')
  })

  test('a holder whose token is the number of no key', () => {
    const locked = new Locked().lock(5).put(5).put(5)
    expect(foundIn(locked.story)).toBe('')
    locked.story.tell({ f: 'lock', name: 'b' }, { token: 7 })
    expect(foundIn(locked.story)).toBe(
      'locks: operation 5 held the lock b with token 7, and this revision had created no key',
    )
  })

  test('one who is told that he holds it, while another one stands before him', () => {
    expect(foundIn(new Locked().lock(5).waits(9).put(5).goes().holds(9).story)).toBe('')
    const late = new Locked().lock(5).waits(9)
    const { asked, value } = late.ask(5)
    // A request that was sent before proves nothing about the time of the answer.
    const revision = late.make(value)
    late.story.tell({ f: 'lock', name: 'a' }, { token: 9 }, 'c9')
    asked.ok({ revision })
    expect(foundIn(late.story)).toBe('')
    const put = late.story.ask({ f: 'put', key: 'g', value: 'later' }, 'other')
    late.make('later')
    put.ok({ revision: revision + 1 })
    expect(foundIn(late.story)).toContain(
      'held the lock a with token 9, and up to revision 11 lock/a/5 of revision 5 stood before its key',
    )
  })

  test('a refused change that was made', () => {
    const locked = new Locked().lock(5)
    const { asked, value } = locked.ask(5)
    asked.ok({ applied: false })
    locked.make(value)
    expect(foundIn(locked.story)).toContain('which was answered as not made')
  })

  test('a change that is refused while its key stands', () => {
    expect(foundIn(new Locked().lock(5).put(5).goes().refusedNow(5).lock(9).put(9).story)).toBe('')
    const refused =
      'was refused under token 5 of the lock a at revision 6, where the key of this token stands'
    expect(foundIn(new Locked().lock(5).put(5).refusedNow(5).story)).toContain(refused)
    expect(foundIn(new Locked().lock(5).put(5).refusedNow(5).goes().lock(9).put(9).story)).toContain(refused)
  })

  test('an acknowledged change that was not made, with and without its revision', () => {
    for (const result of [{}, { revision: 6 }]) {
      const locked = new Locked().lock(5)
      locked.ask(5).asked.ok(result)
      expect(foundIn(locked.story)).toContain('log knows nothing')
    }
  })

  test('a change of unknown outcome that was made counts', () => {
    const locked = new Locked().lock(5)
    const { asked, value } = locked.ask(5)
    asked.unknown()
    locked.lock(9).put(9).make(value)
    expect(foundIn(locked.story)).toContain('was not kept')
  })

  test('of two changes of unknown outcome with one value, the one that may have been made counts', () => {
    const locked = new Locked().lock(5).put(5)
    const ask = (token: number): void =>
      locked.story.ask({ f: 'guarded-put', name: 'a', token, key: 'g', value: 'same' }, `u${token}`).unknown()
    ask(5)
    locked.lock(9).put(9)
    ask(9)
    locked.make('same')
    expect(foundIn(locked.story)).toBe('')
  })
})

describe('queues', () => {
  const start = (): Story => {
    const story = new Story({ workload: 'queue', log: 'log' })
    story.watch({ start: '', from: 1, prev: false, values: true })
    return story
  }
  const push = (story: Story, item: string, priority = 0): Story =>
    story.tell({ f: 'push', queue: 'q', value: `value of ${item}`, priority }, { item })
  const pop = (
    story: Story,
    item: string,
    token: number,
    result: RecordedResult = {},
    client = 'c',
  ): Story => {
    const told = { item, token, attempts: token, priority: 0, value: `value of ${item}`, ...result }
    return story.tell({ f: 'pop', queue: 'q' }, told, client)
  }
  const ack = (story: Story, item: string, token: number, result: RecordedResult = {}, client = 'c'): Story =>
    story.tell({ f: 'ack', queue: 'q', item, token }, result, client)
  const nack = (story: Story, item: string, token: number): Story =>
    story.tell({ f: 'nack', queue: 'q', item, token }, {})
  const emptied = (story: Story): Story => story.tell({ f: 'pop', queue: 'q' }, { value: null }, DRAIN)

  test.each<[string, (story: Story) => Story, string | undefined]>([
    [
      'an item is pushed, taken and acknowledged',
      (s) => emptied(ack(pop(push(s, 'i'), 'i', 1), 'i', 1)),
      undefined,
    ],
    [
      'one that was not acknowledged comes again',
      (s) => emptied(ack(pop(pop(push(s, 'i'), 'i', 1), 'i', 2), 'i', 2)),
      undefined,
    ],
    [
      'an old token acknowledges nothing',
      (s) => emptied(ack(ack(pop(pop(push(s, 'i'), 'i', 1), 'i', 2), 'i', 1, { applied: false }), 'i', 2)),
      undefined,
    ],
    ['an item is lost', (s) => emptied(push(s, 'i')), 'nobody has acknowledged it'],
    [
      'an item is taken of which the push has no answer, and lost',
      (s) => {
        s.ask({ f: 'push', queue: 'q', value: 'value of i', priority: 0 }).unknown()
        return emptied(pop(s, 'i', 1))
      },
      'given to operation 3, and nobody has acknowledged it',
    ],
    ['an item is taken, and lost', (s) => emptied(pop(push(s, 'i'), 'i', 1)), 'nobody has acknowledged it'],
    [
      'an acknowledged item comes again',
      (s) => pop(ack(pop(push(s, 'i'), 'i', 1), 'i', 1), 'i', 2),
      'given to operation',
    ],
    [
      'an old token acknowledges an item that another consumer has',
      (s) => ack(pop(pop(push(s, 'i'), 'i', 1), 'i', 2), 'i', 1),
      'given to operation',
    ],
    [
      'it is acknowledged twice',
      (s) => ack(ack(pop(push(s, 'i'), 'i', 1), 'i', 1), 'i', 1),
      'was acknowledged by operations',
    ],
    [
      'it is given back and acknowledged',
      (s) => ack(pop(push(s, 'i'), 'i', 1).tell({ f: 'nack', queue: 'q', item: 'i', token: 1 }, {}), 'i', 1),
      'given back and acknowledged',
    ],
    [
      'a push of unknown outcome is delivered, given back and delivered again',
      (s) => {
        s.ask({ f: 'push', queue: 'q', value: 'value of i', priority: 0 }).unknown()
        return emptied(ack(pop(nack(pop(s, 'i', 1), 'i', 1), 'i', 2), 'i', 2))
      },
      undefined,
    ],
    [
      'one push makes two items',
      (s) => ack(pop(ack(pop(push(s, 'i'), 'i', 1), 'i', 1), 'j', 1, { value: 'value of i' }), 'j', 1),
      'value of i was pushed once, and is the item i for operation 2 and j for operation 5',
    ],
    [
      'one push of unknown outcome makes two items',
      (s) => {
        s.ask({ f: 'push', queue: 'q', value: 'value of i', priority: 0 }).unknown()
        return pop(pop(s, 'i', 1), 'j', 1, { value: 'value of i' })
      },
      'value of i was pushed once',
    ],
    [
      'two pushes make one item',
      (s) => push(s, 'i').tell({ f: 'push', queue: 'q', value: 'other', priority: 0 }, { item: 'i' }),
      'both made the item i',
    ],
    [
      'an old token gives an item back that another consumer has',
      (s) => nack(pop(pop(push(s, 'i'), 'i', 1), 'i', 2), 'i', 1),
      'given back with token 1, when operation 4 had it with 2',
    ],
    [
      'it is given back twice',
      (s) => nack(nack(pop(push(s, 'i'), 'i', 1), 'i', 1), 'i', 1),
      'given back twice',
    ],
    [
      'it is given back when it was acknowledged',
      (s) => nack(ack(pop(push(s, 'i'), 'i', 2), 'i', 2), 'i', 1),
      'given back with token 1, and operation 4 had acknowledged it',
    ],
    [
      'two consumers have one token',
      (s) => pop(pop(push(s, 'i'), 'i', 1), 'i', 1, { attempts: 2 }),
      'were both given i',
    ],
    ['a later consumer has a lower token', (s) => pop(pop(push(s, 'i'), 'i', 2), 'i', 1), 'before it with 2'],
    [
      'an attempt is not counted',
      (s) => pop(pop(push(s, 'i'), 'i', 1), 'i', 2, { attempts: 1 }),
      'as attempt 1',
    ],
    ['nobody has pushed it', (s) => pop(s, 'i', 1), 'which nobody has pushed'],
    [
      'it is another value',
      (s) => pop(push(push(s, 'i'), 'j'), 'i', 1, { value: 'value of j' }),
      'was pushed as',
    ],
    [
      'it has another priority',
      (s) => pop(push(s, 'i', 2), 'i', 1),
      'with priority 0, which was pushed with 2',
    ],
    [
      'its push has certainly failed',
      (s) => {
        s.ask({ f: 'push', queue: 'q', value: 'value of i', priority: 0 }).fail()
        return pop(push(s, 'j'), 'i', 1)
      },
      'has certainly failed',
    ],
    [
      'items come in the order of their pushes',
      (s) => {
        push(push(push(s, 'i'), 'j'), 'k', 1)
        for (const [item, priority] of [
          ['k', 1],
          ['i', 0],
          ['j', 0],
        ] as const)
          ack(pop(s, item, 1, { priority }, DRAIN), item, 1)
        return s
      },
      undefined,
    ],
    [
      'one of a lower priority comes first',
      (s) => pop(pop(push(push(s, 'i'), 'j', 1), 'i', 1, {}, DRAIN), 'j', 1, { priority: 1 }, DRAIN),
      'with priority 1 after one with 0',
    ],
    [
      'a later one comes first',
      (s) => pop(pop(push(push(s, 'i'), 'j'), 'j', 1, {}, DRAIN), 'i', 1, {}, DRAIN),
      'after an item that was pushed later',
    ],
    [
      'one comes back late that was taken by a pop without an answer',
      (s) => {
        push(push(s, 'i'), 'j')
        s.ask({ f: 'pop', queue: 'q' }, DRAIN).unknown()
        ack(pop(s, 'j', 1, {}, DRAIN), 'j', 1)
        return ack(pop(s, 'i', 2, {}, DRAIN), 'i', 2)
      },
      undefined,
    ],
    [
      'a pop without an answer has not taken the one that comes late',
      (s) => {
        push(push(s, 'i'), 'j')
        s.ask({ f: 'pop', queue: 'q' }, DRAIN).unknown()
        ack(pop(s, 'j', 1, {}, DRAIN), 'j', 1)
        return ack(pop(s, 'i', 1, {}, DRAIN), 'i', 1)
      },
      'after an item that was pushed later',
    ],
    [
      'a pop without an answer has not taken two that come late',
      (s) => {
        push(push(push(s, 'i'), 'j'), 'k')
        s.ask({ f: 'pop', queue: 'q' }, DRAIN).unknown()
        for (const [item, token] of [
          ['k', 1],
          ['j', 2],
          ['i', 2],
        ] as const)
          ack(pop(s, item, token, {}, DRAIN), item, token)
        return s
      },
      'given i after an item that was pushed later',
    ],
    [
      'a pop that has certainly failed has not taken the one that comes late',
      (s) => {
        push(push(s, 'i'), 'j')
        s.ask({ f: 'pop', queue: 'q' }, DRAIN).fail()
        ack(pop(s, 'j', 1, {}, DRAIN), 'j', 1)
        return ack(pop(s, 'i', 2, {}, DRAIN), 'i', 2)
      },
      'after an item that was pushed later',
    ],
    [
      'an acknowledgement without an answer is of a token that was over, and the item is lost',
      (s) => {
        pop(push(s, 'i'), 'i', 1)
        s.ask({ f: 'ack', queue: 'q', item: 'i', token: 1 }).unknown()
        return emptied(pop(s, 'i', 2))
      },
      'nobody has acknowledged it',
    ],
    [
      'the last acknowledgement has no answer',
      (s) => {
        pop(pop(push(s, 'i'), 'i', 1), 'i', 2)
        s.ask({ f: 'ack', queue: 'q', item: 'i', token: 2 }).unknown()
        return emptied(s)
      },
      undefined,
    ],
    [
      'a key is left when it is empty',
      (s) =>
        ack(pop(push(s, 'i'), 'i', 1), 'i', 1).final('n1', 5, 'h', [
          { key: 'queue/q/value/i', value: '', modRevision: 5 },
        ]),
      'holds 1 keys of it',
    ],
  ])('%s', (_, tell, message) => {
    const found = foundIn(tell(start()))
    if (message === undefined) expect(found).toBe('')
    else expect(found).toMatch(new RegExp(message))
  })
})
