// Recipes and the commands on top: who holds what, and what is written by somebody who does not hold it any more.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const LINE = 'src/recipes/fair-lock-queue.ts'
const WAITING = 'src/recipes/wait-until.ts'
const RW_LOCK = 'src/recipes/rw-lock.ts'
const SEMAPHORE = 'src/recipes/semaphore.ts'
const LEADER = 'src/recipes/leader.ts'
const DOUBLE_BARRIER = 'src/recipes/double-barrier.ts'
const QUEUE = 'src/recipes/queue.ts'
const SAGA = 'src/recipes/saga.ts'
const TOPIC = 'src/recipes/topic.ts'
const COUNTER = 'src/recipes/counter.ts'
const RATE_LIMITER = 'src/recipes/rate-limiter.ts'
const CACHE = 'src/recipes/cache.ts'
const REGISTRY = 'src/recipes/registry.ts'
const LOCK_COMMAND = 'src/cli/commands/lock.ts'

const LOCK_TESTS = ['test/recipes/lock.int.test.ts']
const LEADER_TESTS = ['test/recipes/leader.int.test.ts']
const QUEUE_TESTS = ['test/recipes/queue.int.test.ts']
const SAGA_TESTS = ['test/recipes/saga.int.test.ts']
const TOPIC_TESTS = ['test/recipes/topic.int.test.ts']
const COUNTER_TESTS = ['test/recipes/counter.int.test.ts']
const CACHE_TESTS = ['test/recipes/cache.int.test.ts']
const SERVICE_TESTS = ['test/recipes/services.int.test.ts']
const COMMAND_TESTS = ['test/cli/recipes.int.test.ts']

export const RECIPES: readonly Mutant[] = [
  {
    id: 'M970',
    title: 'the token of a lock does not fence: its guard holds for every key of that name',
    why: 'A holder of which the key was deleted, or who was stopped, writes over the next one.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(
        LINE,
        "const guard: TxnComparison = { key, target: 'createRevision', op: '=', to: token }",
        "const guard: TxnComparison = { key, target: 'createRevision', op: '<', to: token + 1 }",
      ),
    ],
  },
  {
    id: 'M971',
    title:
      'a lock is held when the one before in the line has gone, also if others are still before that one',
    why: 'One who waited gives up, and the one behind it runs beside the holder.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(
        LINE,
        'if (ahead.length < line.served) return',
        'if (ahead.length < line.served || waitedFor++ > 0) return',
      ),
      edit(LINE, '  let waitsFor = 0\n', '  let waitsFor = 0\n  let waitedFor = 0\n'),
    ],
  },
  {
    id: 'M972',
    title: 'a client that gives up waiting leaves its key until its lease ends, and the lease is kept alive',
    why: 'Nobody gets the lock as long as the process lives.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(LINE, 'await session.close({ timeoutMs: GIVE_UP_MS })', 'await Promise.resolve(GIVE_UP_MS)'),
    ],
  },
  {
    id: 'M973',
    title: 'a holder does not hear that its key was deleted',
    why: 'Two run, until the first one writes.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [edit(LINE, '  void watchKey(seenAt)\n', '  void [watchKey, seenAt]\n')],
  },
  {
    id: 'M974',
    title: 'a second try to create the key makes a second one',
    why: 'The first one has nobody who releases it before its lease ends.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(LINE, '  const key = line.key(session.lease)\n', ''),
      edit(
        LINE,
        '    const { results, revision } = await kv.txn(\n      {\n        compare: [{ key, exists: false }],',
        '    key = line.key(session.lease + tries++)\n    const { results, revision } = await kv.txn(\n      {\n        compare: [{ key, exists: false }],',
      ),
      edit(LINE, '  let waitsFor = 0\n', '  let waitsFor = 0\n  let tries = 0\n  let key = before\n'),
    ],
  },
  {
    id: 'M975',
    title: 'a cluster that cannot be asked is told as a lock that others hold',
    why: 'An operator looks for a holder that does not exist.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(
        WAITING,
        'if (!isPassing(error) || patience.aborted) throw error',
        'if (patience.aborted) throw notWithin()\n      if (!isPassing(error)) throw error',
      ),
    ],
  },
  {
    id: 'M976',
    title: 'a reader waits for nobody',
    why: 'It reads what a writer has half written.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(
        RW_LOCK,
        "what: 'rwLock.read', key, before: writers",
        "what: 'rwLock.read', key, before: key('none')",
      ),
    ],
  },
  {
    id: 'M977',
    title: 'a semaphore has one holder more',
    why: 'What it protects has room for so many only.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [edit(SEMAPHORE, 'served: permits }', 'served: permits + 1 }')],
  },
  {
    id: 'M978',
    title: 'a leader that has lost the lead ends as if it had done its work',
    why: 'The job is not done, and this process is no candidate any more.',
    layers: UNIT,
    tests: LEADER_TESTS,
    edits: [edit(LEADER, 'if (isEnd()) return result', 'return result')],
  },
  {
    id: 'M979',
    title: 'the body of a leader is not waited for',
    why: 'The next leader runs beside it.',
    layers: UNIT,
    tests: LEADER_TESTS,
    edits: [edit(LEADER, 'const result = await body(', 'const result = body(')],
  },
  {
    id: 'M980',
    title: 'a round of a double barrier begins with a process that has died',
    why: 'The others wait for it in the middle of their work.',
    layers: UNIT,
    tests: LEADER_TESTS,
    edits: [
      edit(
        DOUBLE_BARRIER,
        'await session.close({ timeoutMs: GIVE_UP_MS })',
        'await Promise.resolve(GIVE_UP_MS)',
      ),
    ],
  },
  {
    id: 'M981',
    title: 'who leaves a double barrier does not wait for the others',
    why: 'It begins the next thing while others are in the middle of this one.',
    layers: UNIT,
    tests: LEADER_TESTS,
    edits: [edit(DOUBLE_BARRIER, 'if (now !== round) return {}', 'if (now !== 0) return {}')],
  },
  {
    id: 'M982',
    title: 'an item of a queue is acknowledged by a consumer that has lost it',
    why: 'A consumer that was slow acknowledges what another one works on now.',
    layers: UNIT,
    tests: QUEUE_TESTS,
    edits: [
      edit(
        QUEUE,
        "const txn: Txn = { compare: [same(this.#key('held', id), token)], success }",
        "const txn: Txn = { compare: [{ key: this.#key('held', id), exists: token > 0 }], success }",
      ),
    ],
  },
  {
    id: 'M983',
    title: 'an item is lost whose consumer dies between pop and acknowledgement',
    why: 'At least once is what a queue is for.',
    layers: UNIT,
    tests: QUEUE_TESTS,
    edits: [
      edit(
        QUEUE,
        "this.#put(isDead ? 'dead' : 'ready', id, { attempts, error: reason })",
        "this.#put('dead', id + isDead, { attempts, error: reason })",
      ),
    ],
  },
  {
    id: 'M984',
    title: 'a step of a saga is recorded by a process that has lost the saga',
    why: 'It runs twice, and two processes record their results over each other.',
    layers: UNIT,
    tests: SAGA_TESTS,
    edits: [
      edit(SAGA, 'compare: [held.guard(), same],', 'compare: [],'),
      edit(SAGA, 'const same = {', 'const _same = {'),
    ],
  },
  {
    id: 'M985',
    title: 'compensations run from the first step to the last',
    why: 'What a later step needs is undone before it.',
    layers: UNIT,
    tests: SAGA_TESTS,
    edits: [edit(SAGA, 'recorded[recorded.length - 1 - compensated.length]', 'recorded[compensated.length]')],
  },
  {
    id: 'M986',
    title: 'a former member of a group moves its position',
    why: 'The group skips messages, or gets them twice.',
    layers: UNIT,
    tests: TOPIC_TESTS,
    edits: [edit(TOPIC, 'compare: [held.guard(), ...(txn.compare ?? [])]', 'compare: txn.compare ?? []')],
  },
  {
    id: 'M987',
    title: 'an add that is repeated with the same text counts again',
    why: 'Who does not know what has become of it cannot repeat it.',
    layers: UNIT,
    tests: COUNTER_TESTS,
    edits: [edit(COUNTER, 'if (counted !== undefined) return', 'if (counted === null) return')],
  },
  {
    id: 'M988',
    title: 'each thing that is taken begins the window of a rate limiter anew',
    why: 'Those who take little but often are never allowed again.',
    layers: UNIT,
    tests: COUNTER_TESTS,
    edits: [
      edit(
        RATE_LIMITER,
        'record?.lease === undefined ? { ttlMs: windowMs }',
        'record?.lease !== null ? { ttlMs: windowMs }',
      ),
    ],
  },
  {
    id: 'M989',
    title: 'a near cache keeps a value that has changed while it was read',
    why: 'It serves the old one until its time is over, or without end if nothing changes again.',
    layers: UNIT,
    tests: CACHE_TESTS,
    edits: [edit(CACHE, 'if (entry.revision >= reading.changedAt)', 'if (entry.revision >= 0)')],
  },
  {
    id: 'M990',
    title: 'a near cache forgets nothing when its watch was broken',
    why: 'What has changed in between is served as if it were new.',
    layers: UNIT,
    tests: CACHE_TESTS,
    edits: [
      edit(
        CACHE,
        'this.#isWatching = cause === undefined\n    this.#entries.clear()',
        'this.#isWatching = cause === undefined',
      ),
    ],
  },
  {
    id: 'M991',
    title: 'kv lock does not end its command when the lock is lost',
    why: 'Two deployments run at the same time.',
    layers: UNIT,
    tests: COMMAND_TESTS,
    edits: [edit(LOCK_COMMAND, "child.kill('SIGTERM')", 'child.ref()')],
  },
  {
    id: 'M992',
    title: 'kv lock says that all went well when its command was ended early',
    why: 'A script goes on as if the deployment were done.',
    layers: UNIT,
    tests: COMMAND_TESTS,
    edits: [edit(LOCK_COMMAND, 'if (isTold || code !== 0)', 'if (code !== 0)')],
  },
  {
    id: 'M997',
    title: 'a write that finds its lock lost does not fire the signal of the lock',
    why: 'The rest of the program goes on as the holder until the watch tells it.',
    layers: UNIT,
    tests: LOCK_TESTS,
    edits: [
      edit(
        LINE,
        "    end('its key was deleted')\n    throw lost(what, 'its key was deleted')",
        "    throw lost(what, 'its key was deleted')",
      ),
    ],
  },
  {
    id: 'M998',
    title: 'an item is put back although its consumer has renewed its hold since it was looked at',
    why: 'Two consumers have it, and the first one did all that it had to.',
    layers: UNIT,
    tests: QUEUE_TESTS,
    edits: [
      edit(
        QUEUE,
        "compare: [same(record.keyBytes, record.modRevision), { key: this.#key('hold', id), exists: false }],",
        'compare: [same(record.keyBytes, record.modRevision)],',
      ),
    ],
  },
  {
    id: 'M999',
    title: 'least connections counts connections without regard to weights',
    why: 'A small instance gets as much as a large one.',
    layers: UNIT,
    tests: SERVICE_TESTS,
    edits: [
      edit(
        REGISTRY,
        '(this.#connections.get(id) ?? 0) / weight',
        '(this.#connections.get(id) ?? 0) + 0 * weight',
      ),
    ],
  },
  {
    id: 'M1000',
    title: 'a near cache gives what a reading has found that began before its loader put the value',
    why: 'Who asked with a loader gets nothing although there is a value.',
    layers: UNIT,
    tests: CACHE_TESTS,
    edits: [
      edit(
        CACHE,
        '    if (reading !== undefined) reading.changedAt = Number.POSITIVE_INFINITY\n    this.#readings.delete(name)\n',
        '    if (reading !== undefined) reading.changedAt = Number.POSITIVE_INFINITY\n',
      ),
    ],
  },
  {
    id: 'M1021',
    title: 'a consumer forgets what it has taken at once, although a look that began before still shows it',
    why: 'With many handlers a process mostly tries to take what is gone, and it becomes slow.',
    layers: UNIT,
    tests: QUEUE_TESTS,
    edits: [
      edit(
        QUEUE,
        'void Promise.all(this.#lastLooks.values()).then(() => this.#taking.delete(taking))',
        'this.#taking.delete(taking)',
      ),
    ],
  },
  {
    id: 'M1022',
    title: 'the signal of an item fires although the item was acknowledged',
    why: 'Who listens to it undoes work that counts.',
    layers: UNIT,
    tests: ['test/recipes/queue-waiting.test.ts'],
    edits: [
      edit(
        'src/recipes/queue-item.ts',
        '    this.#isDone = true\n    clearTimeout(this.#timer)\n',
        '    this.#isDone = true\n',
      ),
    ],
  },
  {
    id: 'M1023',
    title: 'a saga whose new process has lost it as well waits for a minute',
    why: 'Nobody runs it meanwhile.',
    layers: UNIT,
    tests: SAGA_TESTS,
    edits: [edit(SAGA, 'if (!(error instanceof SagaTakenOverError)) later', 'if (error !== null) later')],
  },
  {
    id: 'M1024',
    title: 'the messages of a topic are counted by many publishers at a time',
    why: 'Each count of a large topic takes seconds of a node.',
    layers: UNIT,
    tests: TOPIC_TESTS,
    edits: [edit(TOPIC, ' && !this.#isTrimming) await', ') await')],
  },
  {
    id: 'M1025',
    title: 'a near cache keeps what it was reading while its watch was broken',
    why: 'A change in between is not told, and the old value is served until its time is over.',
    layers: UNIT,
    tests: CACHE_TESTS,
    edits: [
      edit(
        CACHE,
        'for (const reading of this.#readings.values()) reading.changedAt = Number.POSITIVE_INFINITY',
        'void this.#readings',
      ),
    ],
  },
  {
    id: 'M1026',
    title: 'a change that is told while a configuration is read is forgotten',
    why: 'The value before is used until something else changes, or it is read anyway.',
    layers: UNIT,
    tests: ['test/recipes/config.int.test.ts'],
    edits: [
      edit(
        'src/recipes/range-view.ts',
        '        onFirst(view)\n',
        '        onFirst(view)\n        this.#isDue = false\n',
      ),
    ],
  },
  {
    id: 'M1028',
    title: 'a saga of which it is unknown whether it has begun begins again',
    why: 'Another process has ended it and forgotten it: all steps run twice. It was ours.',
    layers: UNIT,
    tests: SAGA_TESTS,
    edits: [
      edit(LINE, "signal?.aborted === true || joined.state === 'unknown')", 'signal?.aborted === true)'),
    ],
  },
  {
    id: 'M1029',
    title: 'while items are put back, one behind them can be taken',
    why: 'It comes before older ones, and before those of a higher priority.',
    layers: UNIT,
    tests: QUEUE_TESTS,
    edits: [edit(QUEUE, 'upTo === undefined || this.#idIn', "upTo !== '' || this.#idIn")],
  },
]
