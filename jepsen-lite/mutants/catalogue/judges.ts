// Bugs of the judges: the search, its models, the reading of histories, lists, what a run accepts as an answer, and the
// simulator's oracle. A wrong judge finds nothing, or rejects correct stores.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const CHECKER = 'jepsen-lite/checker'
const SEARCH = `${CHECKER}/search.ts`
const BY_REVISION = `${CHECKER}/models/by-revision.ts`
const BY_VALUE = `${CHECKER}/models/by-value.ts`
const HISTORY = 'jepsen-lite/history.ts'
const WATCHES = `${CHECKER}/watch/index.ts`
const CHECKER_TESTS = ['anomalies', 'search.prop', 'lists', 'revision-accounting'].map(
  (name) => `test/jepsen-lite/checker/${name}.test.ts`,
)
const LOG = `${CHECKER}/log/index.ts`
const LOGGED_TESTS = ['log', 'leases-in-history', 'locks-and-queues'].map(
  (name) => `test/jepsen-lite/checker/${name}.test.ts`,
)
const COMMAND_TESTS = ['test/jepsen-lite/commands/check.test.ts']
const NETWORK_TESTS = ['test/jepsen-lite/sim/network.prop.test.ts']
const WRONG_SERVERS = ['test/jepsen-lite/sim/wrong-servers.test.ts']
const RUN_TESTS = ['perform', 'broken-servers'].map((name) => `test/jepsen-lite/local/${name}.int.test.ts`)

const judge = (
  id: string,
  title: string,
  why: string,
  [file, find, replace]: readonly [file: string, find: string, replace: string],
  tests: readonly string[] = CHECKER_TESTS,
): Mutant => ({ id, title, why, layers: UNIT, tests, edits: [edit(file, find, replace)] })

export const JUDGES: readonly Mutant[] = [
  judge(
    'K6',
    'a write of unknown outcome explains observations from before it began',
    'Reads from the future pass.',
    [SEARCH, 'return (this.#starts[optional] ?? 0) <= deadline ? optional : NONE', 'return optional'],
  ),
  judge(
    'K7',
    'any operation that changes nothing is placed at once, writes too',
    'Later it would have overwritten something: correct histories are rejected.',
    [
      SEARCH,
      'const free = this.#steps.isObservation(step) && this.#steps.apply(this.#state, step) === this.#state',
      'const free = this.#steps.apply(this.#state, step) === this.#state',
    ],
  ),
  judge(
    'K8',
    'an observation of a revision comes before the change that made it',
    'Correct histories are rejected.',
    [BY_REVISION, '2 * revision + (isObservation ? 1 : 0)', '2 * revision + (isObservation ? 0 : 1)'],
  ),
  judge(
    'K9',
    'the model lets the revision of a change decrease',
    'A store that takes back what it reported passes.',
    [
      BY_REVISION,
      'if (revision !== undefined && revision <= now.store) return undefined\n  const least',
      'const least',
    ],
  ),
  judge(
    'K10',
    'any later revision of a key is accepted',
    'A read with another revision than the write reported passes.',
    [BY_REVISION, 'mod < least || mod > most', 'mod < least'],
  ),
  judge(
    'K11',
    'a compare-and-set may be refused although its condition held',
    'The reverse of a lost update: the store may refuse any request.',
    [
      BY_VALUE,
      'now !== op.from && (value === undefined || now === value) ? now : undefined',
      'value === undefined || now === value ? now : undefined',
    ],
  ),
  judge(
    'K12',
    'a delete that found nothing is accepted at any place',
    'A store that deletes nothing and says so passes.',
    [
      BY_VALUE,
      "observe('del none', (now) => (now === null ? null : undefined))",
      "observe('del none', (now) => now)",
    ],
  ),
  judge(
    'K13',
    'an operation that ended is read as if it was still open',
    'Without ends no operation comes after another.',
    [
      HISTORY,
      'keep({ ...call, endMs: event.time, end: position, outcome: outcomeOf(event) })',
      'keep({ ...call, endMs: event.time, end: Number.POSITIVE_INFINITY, outcome: outcomeOf(event) })',
    ],
  ),
  judge('K14', 'an operation without an end is forgotten', 'The value that it wrote then has no origin.', [
    HISTORY,
    'for (const call of open.values()) {',
    'for (const call of [...open.values()].slice(0, 0)) {',
  ]),
  judge(
    'K15',
    'each attempt with one token counts as a separate request',
    'A second effect is then explained by the second attempt.',
    [
      `${CHECKER}/partition.ts`,
      "const token = 'idempotency' in op && op.idempotency !== undefined ? textOf(op) : undefined",
      'const token: string | undefined = undefined',
    ],
  ),
  judge(
    'K16',
    'a page counts as the whole list',
    'Rows of the next page then count as missing: correct servers are rejected.',
    [
      `${CHECKER}/list-range.ts`,
      'more ?? (limit !== undefined && rows.length >= limit)',
      'more === undefined && limit !== undefined && rows.length >= limit',
    ],
  ),
  judge('K17', 'missing rows of a list are not checked', 'A server that leaves out a row passes.', [
    `${CHECKER}/revision-history.ts`,
    'if (!seen.has(key)) yield',
    'if (!seen.has(key) && base.at < 0) yield',
  ]),
  judge('K18', 'rows may come twice and in any order', 'A server that lists everything twice passes.', [
    `${CHECKER}/lists.ts`,
    'const messages = [...brokenRows(op, result), ...brokenCount(op, result, end, keyCounts)]',
    'const messages = [...brokenCount(op, result, end, keyCounts)]',
  ]),
  judge('K19', 'a count is not checked', 'A server that counts only the rows of the page passes.', [
    `${CHECKER}/lists.ts`,
    'const messages = [...brokenRows(op, result), ...brokenCount(op, result, end, keyCounts)]',
    'const messages = [...brokenRows(op, result)]',
  ]),
  judge('K20', 'one request explains any number of revisions', 'A write that was applied twice passes.', [
    `${CHECKER}/matching.ts`,
    'const taken = begun.pop()',
    'const taken = begun.at(-1)',
  ]),
  judge(
    'K21',
    'revisions without a change are not reported',
    'A write that failed and was made all the same passes, as long as no client reads it.',
    [
      `${CHECKER}/revision-accounting.ts`,
      'if (history.header.complete !== true) return []',
      'if (history.header.complete !== false) return []',
    ],
  ),
  judge(
    'K22',
    'the final content of the nodes is not read',
    'An acknowledged write that is lost on every node passes, if no client reads it.',
    [
      `${CHECKER}/partition.ts`,
      'for (const call of finalReads(history, names)) add(call)',
      'for (const call of [...finalReads(history, names)].slice(0, 0)) add(call)',
    ],
  ),
  judge(
    'K23',
    'the age that an answer claims is not compared with earlier answers',
    'A stale read without any bound passes.',
    [
      `${CHECKER}/reads.ts`,
      'if (known === undefined || known.revision <= revision) return []',
      'if (known === undefined || known.revision > revision || known.revision <= revision) return []',
    ],
  ),
  judge('K24', 'an undecided history passes', 'A search that gave up has shown nothing.', [
    `${CHECKER}/index.ts`,
    "undecided.length > 0 ? 'undecided' : 'pass'",
    "'pass'",
  ]),
  judge(
    'K25',
    'a file that is not a history is read as far as possible',
    'A misspelt field is silently not judged.',
    [HISTORY, 'if (fault !== undefined)', "if (fault !== undefined && typeof event !== 'object')"],
    COMMAND_TESTS,
  ),
  judge(
    'K26',
    'a run accepts any refusal',
    'A server that answers 400 to whole kinds of requests passes.',
    [
      'jepsen-lite/local/perform.ts',
      'return REFUSALS.has(answer.status) ? end',
      'return answer.status >= 400 ? end',
    ],
    RUN_TESTS,
  ),
  judge(
    'K27',
    'a run does not check whether each operation ever succeeded',
    'A server that can never serve a lease read passes.',
    [
      'jepsen-lite/local/run-stats.ts',
      'asked >= ASKED_MIN && answered < asked * ANSWERED_PART_MIN',
      'asked < 0 && answered < asked * ANSWERED_PART_MIN',
    ],
    RUN_TESTS,
  ),
  judge(
    'K28',
    'a long value is compared by its first bytes only',
    'A server that cuts values off passes.',
    ['jepsen-lite/local/values.ts', 'bodyOf(name) === body', 'body.startsWith(name)'],
    RUN_TESTS,
  ),
  judge(
    'K29',
    'the simulator trusts the log about the content of a request',
    'A codec that damages every value in the same way is never noticed.',
    [
      'jepsen-lite/sim/model.ts',
      'if (textOf(entry) !== textOf(sent))',
      'if (textOf(entry) === textOf(sent) && sent === entry)',
    ],
    ['test/jepsen-lite/sim/oracle.test.ts'],
  ),
  judge(
    'K30',
    'a refusal that contradicts itself has the same text as one that does not',
    'The search treats them as equal: the first one passes, and reporting it makes the check crash.',
    [
      BY_VALUE,
      "observe('refused as there, where nothing was', () => undefined)",
      "observe('absent', () => undefined)",
    ],
    ['test/jepsen-lite/checker/models.prop.test.ts'],
  ),
  judge(
    'K31',
    'only the revision of a repeated answer is compared with the first one',
    'A store that replays the outcome of another request passes.',
    [
      `${CHECKER}/idempotency.ts`,
      "const EFFECTS = ['applied', 'deleted', 'modRevision', 'revision', 'version', 'current', 'value'] as const",
      "const EFFECTS = ['applied', 'deleted', 'modRevision', 'version', 'current'] as const",
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K32',
    'the simulator accepts a stale read without the requested bound',
    'A node that never checks the age of its state passes.',
    [
      'jepsen-lite/sim/clients.ts',
      'if (options.maxStalenessMs === undefined) return',
      'if (options.maxStalenessMs !== 0) return',
    ],
    WRONG_SERVERS,
  ),
  judge(
    'K33',
    'the simulator treats a node that never answers as dead',
    'A node that forgets its clients passes.',
    [
      'jepsen-lite/sim/clients.ts',
      'if (!done && !lists && process.serving !== undefined',
      'if (!done && !lists && at < 0 && process.serving !== undefined',
    ],
    WRONG_SERVERS,
  ),
  judge(
    'K34',
    'the simulator trusts the log about cluster time',
    'A leader whose stamps stand still passes, and no token is ever forgotten.',
    [
      'jepsen-lite/sim/invariants.ts',
      'if (stampedMs < askedMs - WHOLE_MS)',
      'if (stampedMs < askedMs - WHOLE_MS && began < 0)',
    ],
    WRONG_SERVERS,
  ),
  judge(
    'K35',
    'the schedule in which the simulator crashed is not reported',
    'The simulator crashes without the mutant too, and every mutant counts as caught.',
    ['jepsen-lite/mutants/layers.ts', 'seed: underWay?.seed', 'seed: undefined'],
    ['test/jepsen-lite/mutants/harness-crash.int.test.ts'],
  ),
  judge(
    'K36',
    'a repeat may be answered as new',
    'A store that answers a repeat from memory and does not say so passes.',
    [
      `${CHECKER}/idempotency.ts`,
      'if (first !== undefined && second !== undefined)',
      'if (first !== undefined && second !== undefined && attempts.length < 0)',
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K37',
    'the simulator treats a missing counter as 0',
    'A counter that is renamed, or becomes NaN, is no longer checked.',
    [
      'jepsen-lite/sim/quiescence.ts',
      'if (underWay === undefined || isGivenBack(underWay, name, most)) names',
      'if (!underWay?.[name]) names',
    ],
    WRONG_SERVERS,
  ),
  judge(
    'K38',
    'the last reads of a run accept a missing state hash',
    'Nodes with different states that do not report a hash pass.',
    [
      'jepsen-lite/local/final-reads.ts',
      "typeof hash === 'string'\n",
      "(typeof hash === 'string' || hash === undefined)\n",
    ],
    ['test/jepsen-lite/local/final-reads.test.ts'],
  ),
  judge(
    'K39',
    'a delete has no condition except a revision',
    'A delete that should have been refused, and was, is rejected by the checker.',
    [BY_VALUE, "if (op.f !== 'put' && op.f !== 'del') return", "if (op.f !== 'put') return"],
    ['right-answers.prop', 'anomalies'].map((name) => `test/jepsen-lite/checker/${name}.test.ts`),
  ),
  judge(
    'K40',
    'a mutant counts as caught when one test failed once',
    'A test that fails now and then catches every mutant.',
    [
      'jepsen-lite/mutants/study.ts',
      "if (caught?.layer === 'unit') caught =",
      "if (caught === undefined && layer === 'unit') caught =",
    ],
    ['test/jepsen-lite/mutants/flaky-tests.int.test.ts'],
  ),
  judge(
    'K41',
    'a compare-and-set that has only read counts as a write',
    'A store that no longer accepts writes counts as recovered.',
    ['jepsen-lite/local/run-stats.ts', 'CHANGES.has(open.f) && !hasOnlyRead', 'CHANGES.has(open.f)'],
    ['test/jepsen-lite/local/run-stats.test.ts'],
  ),
  judge(
    'K42',
    'the last read of a node continues after any key',
    'Keys in between are not read.',
    [
      'jepsen-lite/local/final-reads.ts',
      'next === rows.at(-1)?.key && (after === undefined || compareKeys(after, next) < 0)',
      'after === undefined || compareKeys(after, next) < 0',
    ],
    ['test/jepsen-lite/local/final-reads.test.ts'],
  ),
  judge(
    'K43',
    'the study does not check whether a level is served at all',
    'A store that knows only some of the levels passes.',
    ['jepsen-lite/study/results.ts', ', ...neverServed(requests)]', ']'],
    ['test/jepsen-lite/study/study.test.ts'],
  ),
  judge(
    'K44',
    "the report uses the run's verdict instead of the checker's",
    'A violation has the headline pass.',
    ['jepsen-lite/report/run-found.ts', "found === 'violation' || (found", '(found'],
    ['test/jepsen-lite/report/report.test.ts'],
  ),
  judge(
    'K45',
    'any answer may call itself a repeat',
    'A store that treats a first request as an answered one passes.',
    [`${CHECKER}/idempotency.ts`, '      ...notOneFirst(token, attempts),\n', ''],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K46',
    'if a request of unknown outcome may lie between, any version is accepted',
    'Impossible versions pass as soon as one outcome is unknown.',
    [
      `${CHECKER}/revision-history.ts`,
      'if (least <= told && told <= most) continue',
      'if (most > count + 1) continue',
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K47',
    'frames that a cut held back come after those that arrive at the moment when it ends',
    'No connection reorders: a correct server is rejected, and a wrong one is tested with impossible events.',
    ['jepsen-lite/sim/time.ts', 'this.#late.add(event)', 'this.#insert(event)'],
    NETWORK_TESTS,
  ),
  judge(
    'K48',
    'a cut holds back nothing for a stopped process',
    'Frames held back before the stop are overtaken.',
    [
      'jepsen-lite/sim/network.ts',
      'if (!this.isCut(other.process, process)) this.#given(event, end, this.#frameRead)',
      'if (process.paused || !this.isCut(other.process, process)) this.#given(event, end, this.#frameRead)',
    ],
    NETWORK_TESTS,
  ),
  judge(
    'K49',
    'a stopped process never counts as silent',
    'Its peers wait for it without end, and their behaviour after its loss is not tested.',
    ['jepsen-lite/sim/process.ts', '    this.#world.stopped(this)\n', ''],
    ['test/jepsen-lite/sim/harness.test.ts'],
  ),
  judge(
    'K50',
    'a put may be answered like a delete',
    'A server that reports nothing of what it has written passes.',
    ['jepsen-lite/local/perform.ts', "if (f !== 'del' && f !== 'release') {", "if (!('deleted' in body)) {"],
    ['test/jepsen-lite/local/perform.int.test.ts'],
  ),
  judge(
    'K51',
    'refused compare-and-sets and appends are not recorded',
    'No check sees a condition that is refused although it holds.',
    [
      'jepsen-lite/local/perform.ts',
      'if (end.result.current !== (modRevision ?? null)) return undefined',
      'if (end.result.applied === false) return undefined',
    ],
    ['test/jepsen-lite/local/perform.int.test.ts'],
  ),
  judge(
    'K52',
    'a run does not check whether anything was changed or shown at all',
    'A store that refuses all real work, and answers the rest, passes.',
    [
      'jepsen-lite/local/run-stats.ts',
      'if (answered > 0 || asked + refused < ASKED_MIN) return []',
      'if (answered >= 0) return []',
    ],
    ['test/jepsen-lite/local/broken-servers.int.test.ts'],
  ),
  judge(
    'K53',
    'an attempt that is answered as new may have been applied before it was sent',
    'A store that answers a repeat from memory and calls it new passes, if the first attempt was never answered.',
    [`${CHECKER}/partition.ts`, 'another === undefined && fresh.start < first.end', 'another !== undefined'],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K54',
    'attempts that are all answered as repeats repeat each other',
    'A store that treats a first request as an answered one passes, if it is sent twice at once.',
    [
      `${CHECKER}/idempotency.ts`,
      "(one) => one.outcome.kind !== 'fail' && !isRepeat(one)",
      "(one) => one.outcome.kind !== 'fail' && (one.id !== earliest.id || !isRepeat(one))",
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K55',
    'a change with a condition may have made any revision',
    'A revision without an origin passes, if a request of unknown outcome could not have made it.',
    [
      `${CHECKER}/revision-accounting.ts`,
      'Math.max(newestBefore(start), revisionAskedFor(call))',
      'newestBefore(start)',
    ],
    ['test/jepsen-lite/checker/revision-accounting.test.ts'],
  ),
  judge(
    'K56',
    'changes may have happened before the store began',
    'A store whose first change makes revision 1, or whose versions are one too high, passes.',
    [
      `${CHECKER}/revision-history.ts`,
      'history.header.complete === true ? FIRST_REVISION : 0',
      'history.header.complete === true ? 0 : 0',
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K57',
    'a node that may end itself may also crash',
    'A node that dies of a bug when its disk fails counts as one that has stopped with a message.',
    ['jepsen-lite/local/node-logs.ts', '|^Node\\.js v[0-9]/i', '/i'],
    ['test/jepsen-lite/local/node-logs.test.ts'],
  ),
  judge(
    'K58',
    'the older part of a large log is not checked',
    'A frequent failure is not seen.',
    [
      'jepsen-lite/local/node-logs.ts',
      'filter((path) => existsSync(path))',
      'filter((path) => path === file)',
    ],
    ['test/jepsen-lite/local/node-logs.test.ts'],
  ),
  judge(
    'K59',
    'a command whose output is not read to its end reports success',
    'The mutants that are not caught come last.',
    ['jepsen-lite/main.ts', 'process.exit(process.exitCode ?? EXIT.failed)', 'process.exit()'],
    ['test/jepsen-lite/commands/flags.test.ts'],
  ),
  judge(
    'K60',
    'the content of stale reads does not affect the age of others',
    'A node that claims to be up to date, and is behind what another one has shown, passes.',
    [`${CHECKER}/reads.ts`, '    .concat(stale)\n', ''],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K61',
    'the version in a read or a list is not checked',
    'A store whose rows have another version than its changes reported passes.',
    [
      `${CHECKER}/revision-history.ts`,
      'made !== undefined && observation.version !== undefined && made !== observation.version',
      'made === null',
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K62',
    'whether a change created its key or replaced it is not considered',
    'If a request of unknown outcome may lie between, a condition that held says nothing about the version.',
    [
      `${CHECKER}/revision-history.ts`,
      "(met === 'nothing') === (told === 1)",
      "(met === 'nothing' || met === 'a key')",
    ],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K63',
    'a request without a token may be answered as a repeat',
    'The answer to another request counts for this one, if both say the same.',
    [`${CHECKER}/idempotency.ts`, 'outcome.result.replayed !== true', 'outcome.result.replayed !== null'],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K64',
    'an attempt may be answered as new after another was answered',
    'A store that applies a request twice and answers alike passes, if the first answer does not say whether it is a repeat.',
    [`${CHECKER}/idempotency.ts`, 'end < first.start', 'end < 0'],
    ['test/jepsen-lite/checker/anomalies.test.ts'],
  ),
  judge(
    'K65',
    'the simulator does not check the counts of a store',
    'Bytes or tokens that are not given back have an effect only when a limit is reached, much later.',
    [
      'jepsen-lite/sim/clients.ts',
      'storage === undefined || storage.applied.index !== model.index',
      'storage === undefined || model.index >= 0',
    ],
    ['test/jepsen-lite/sim/oracle.test.ts'],
  ),
  judge(
    'K66',
    'the simulator does not check greetings',
    'A replica that reports a term before it is durable seems, after a crash, to have lost it.',
    [
      'jepsen-lite/sim/invariants.ts',
      '{ term }: { readonly term: number }): void {\n    if (term > durable.term)',
      '{ term }: { readonly term: number }): void {\n    if (term > durable.term + 1e9)',
    ],
    WRONG_SERVERS,
  ),
  judge(
    'K67',
    'a frame for a closed end of a simulated connection is never taken out of the queue of its sender',
    'The queue fills, nothing is sent any more, and no reset answers: the link stays broken. Found by the simulator.',
    [
      'jepsen-lite/sim/network.ts',
      '      other.queuedFrames--\n      // It may have been sent during a cut',
      '      // It may have been sent during a cut',
    ],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K68',
    'the simulator lets disks run short while it asks whether slow disks keep a cluster from working',
    'A leader hands over each time, and an election takes several writes of seconds: a violation that is none.',
    [
      'jepsen-lite/sim/slow-disks.ts',
      '  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY\n',
      '',
    ],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K69',
    'the simulator asks a process that closes its storage to end at once when that fails',
    'It serves no more, and ends when it is closed: a violation that is none.',
    ['jepsen-lite/sim/process.ts', 'this.dying || this.closing ||', 'this.dying ||'],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K70',
    'the simulator goes on expecting what was forwarded over an earlier connection',
    'A process that installed a snapshot meanwhile waits for none of it: a violation that is none.',
    ['jepsen-lite/sim/forwards.ts', 'if (this.#sent.get(from)?.to === to) this.#waitsForNone(from)', ''],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K71',
    'LIVE-7 allows the leaders that follow each other on full disks one lease',
    'Each replica that holds the change leads once and waits for a lease before it: a violation that is none.',
    ['jepsen-lite/sim/full-disks.ts', 'const SETTLED_LEASES = 4', 'const SETTLED_LEASES = 1'],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K72',
    'the simulator trusts a replica that was put back to the time when it was the only voter',
    'It elects itself before a peer can refuse it, and no peer promised that: a violation that is none.',
    ['jepsen-lite/sim/cluster.ts', '      this.rollbacks.elected(process)\n', ''],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K73',
    'in the simulator, a connection with a full queue never learns that its other end is gone',
    'TCP repeats what waits, and a machine that runs again answers with a reset: a violation that is none.',
    ['jepsen-lite/sim/network.ts', 'if (end.other.closed) this.#answerReset(end)', ''],
    ['test/jepsen-lite/sim/search.prop.test.ts'],
  ),
  judge(
    'K74',
    'a change that is refused without the code of an error counts as not made',
    'A server that makes it and answers 204 seems to invent a write; a later read of it is called a violation.',
    ['jepsen-lite/local/perform.ts', "if (typeof json(end).code !== 'string')", 'if (false)'],
    ['test/jepsen-lite/local/perform.int.test.ts'],
  ),
  judge(
    'K75',
    'the report of a history of one instant shows no state of a node',
    'Its timeline ends one millisecond later, its lanes do not.',
    [
      'jepsen-lite/report/data.ts',
      '...lanesOf(notes, nodes, endMs)',
      '...lanesOf(notes, nodes, endOf(history))',
    ],
    ['test/jepsen-lite/report/report.test.ts'],
  ),
  judge(
    'K76',
    'an age that only one tenth of a second has is not drawn',
    'SVG draws nothing for a line through one point.',
    ['jepsen-lite/study/pictures.ts', "points.length === 1 ? 'h4' : ''", "''"],
    ['test/jepsen-lite/study/study.test.ts'],
  ),
  judge(
    'K77',
    'a seed draws other numbers than before',
    'A saved schedule no longer reaches what it was saved for, and passes.',
    ['jepsen-lite/random.ts', 'hash ^ (hash >>> 16)) >>> 0', 'hash ^ (hash >>> 17)) >>> 0'],
    ['test/jepsen-lite/random.test.ts'],
  ),
  judge(
    'K78',
    'in schedules about links, the lists draw the same numbers as the faults',
    'Lists come only at certain times of the faults, whatever the seed. Our own.',
    ['jepsen-lite/sim/generate.ts', 'drawLinkScenarios(part(16)', 'drawLinkScenarios(part(10)'],
    ['test/jepsen-lite/sim/schedule.test.ts'],
  ),
  judge(
    'K79',
    'of what a watch is told only the keys are compared',
    'Wrong values, revisions and leases pass.',
    [WATCHES, '  one.key === other.key &&\n', '  one.key === other.key ||\n'],
    ['test/jepsen-lite/checker/watches.test.ts'],
  ),
  judge(
    'K80',
    'nobody asks what a watch was not told',
    'A watch that is told nothing keeps every promise.',
    [WATCHES, 'if (revision < this.#next) return []', 'if (revision < Infinity) return []'],
    ['test/jepsen-lite/checker/watches.test.ts'],
  ),
  judge(
    'K81',
    'only the first promise to a lease counts',
    'A lease that is kept alive may end as if nobody had.',
    [
      `${CHECKER}/leases/index.ts`,
      'for (const promise of promises) {\n    const endMs',
      'for (const promise of promises.slice(0, 1)) {\n    const endMs',
    ],
    ['test/jepsen-lite/checker/leases.test.ts'],
  ),
  judge(
    'K82',
    'the simulator keeps nothing of what watches are told',
    'Whatever they are told passes.',
    ['jepsen-lite/sim/watchers.ts', 'this.#records.push(connection)', 'this.#records.push()'],
    ['test/jepsen-lite/sim/store.test.ts'],
  ),
  judge(
    'K83',
    'an acknowledged change need not be in the log',
    'A store may lose what it has acknowledged.',
    [LOG, 'if (!this.#makers.has(revision))', 'if (this.#makers.size < 0)'],
    LOGGED_TESTS,
  ),
  judge(
    'K84',
    'one request of unknown outcome explains any number of revisions',
    'A change that is made twice passes.',
    [`${CHECKER}/log/makers.ts`, 'if (owner !== undefined && !needsNone(owner)) {', 'if (owner === now) {'],
    LOGGED_TESTS,
  ),
  judge(
    'K85',
    'of a history with a log, answers may reflect the past',
    'A stale answer passes if it says the truth of an earlier revision.',
    [`${CHECKER}/log/order.ts`, '? 1 : 0)) continue', '? 1 : 0) || answer.start > 0) continue'],
    LOGGED_TESTS,
  ),
  judge(
    'K86',
    'a client may be told at any time that a lease does not exist',
    'Only the end of keys shows that a lease was too short.',
    [
      `${CHECKER}/leases/in-history.ts`,
      'if (held === undefined) continue',
      'if (lease !== undefined) continue',
    ],
    LOGGED_TESTS,
  ),
  judge(
    'K87',
    'a delete without an answer counts as the end of a lease',
    'Leases that were right are rejected.',
    [
      LOG,
      'if (mayBeLeaseEnd && able.length === 0 && isComplete) this',
      'if (mayBeLeaseEnd && isComplete) this',
    ],
    LOGGED_TESTS,
  ),
  judge(
    'K88',
    'a change under an old token passes if nobody else was told that he holds the lock',
    'It is the order of the log that counts.',
    [`${CHECKER}/locks.ts`, 'before.call.op.token > token)', 'before.call.op.token < 0)'],
    LOGGED_TESTS,
  ),
  judge(
    'K89',
    'an item that was pushed and never acknowledged is not missed',
    'A queue may lose items.',
    [`${CHECKER}/queues.ts`, 'isMade(ack) || mayBeMade(ack))', "ack.id > 0) || id !== ''"],
    LOGGED_TESTS,
  ),
  judge(
    'K90',
    'a revision that the changes of a transaction share leaves less room',
    'Correct histories with unknown outcomes are rejected.',
    [
      `${CHECKER}/revision-history.ts`,
      'this.#distinct = [...new Set(this.#taken)]',
      'this.#distinct = this.#taken',
    ],
  ),
  judge('K91', 'the order of transactions is not judged', 'Half of a transaction may be seen.', [
    `${CHECKER}/index.ts`,
    '.some(({ transaction }) => transaction !== undefined)',
    '.some(({ id }) => id < 0)',
  ]),
]
