// What the client library promises: a write is applied once, an error tells the truth, no endpoint hinders the others. And a
// cluster in one process: what was asked last is so in the end.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const CALL = 'src/client/call.ts'
const CLIENT = 'src/client/client.ts'
const FIRST_WRITE = 'test/client/first-write.test.ts'
const BREAKER = 'test/client/breaker.test.ts'
const ARGUMENTS = 'test/client/arguments.test.ts'
const ENDINGS = 'test/client/endings.test.ts'
const CONNECTING = 'test/client/connecting.test.ts'
const STRANGE = 'test/client/strange-answers.test.ts'
const LIST = 'src/client/list.ts'
const TURNS = 'src/client/turns.ts'
const TURNS_TEST = 'test/client/turns.test.ts'
const HEDGES = 'test/client/hedges.test.ts'
const DURATIONS = 'test/client/durations.test.ts'

export const CLIENT_MUTANTS: readonly Mutant[] = [
  {
    id: 'M220',
    title: 'a client takes the refusal of a fresh token for an answer',
    why: 'Whoever was idle for longer than outcomes are kept can never write again.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [
      edit(
        CALL,
        "if (error.code === 'idempotency_expired') {",
        "if (error.code === 'idempotency_expired' && this.#end !== undefined) {",
      ),
    ],
  },
  {
    id: 'M221',
    title: 'a client begins a write anew though an earlier try may have been applied',
    why: 'The new token knows nothing of the earlier try: it is applied twice.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [
      edit(CALL, 'if (this.#tries.unknown !== undefined || this.#call.renewed', 'if (this.#call.renewed'),
    ],
  },
  {
    id: 'M222',
    title: 'the first write of a client leaves before it knows cluster and revision',
    why: 'It may be applied in another cluster, and its token says that it is in use since the first revision: when outcomes are forgotten, it is refused.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [
      edit(
        CLIENT,
        "const isReached = kind !== 'read' && (await this.#identify(limits))",
        "const isReached = kind === 'bare' && (await this.#identify(limits))",
      ),
    ],
  },
  {
    id: 'M223',
    title: 'one caller that gives up ends the question that others wait for',
    why: 'Their writes fail though nothing is wrong.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [edit('src/client/questions.ts', 'if (shared.waiting > 0 || ', 'if (')],
  },
  {
    id: 'M224',
    title: 'the answer of a node of another cluster is taken for an answer',
    why: 'Reads show what another cluster holds.',
    layers: UNIT,
    tests: ['test/client/clusters.test.ts'],
    edits: [
      edit(
        CALL,
        'if (otherCluster !== undefined) {',
        "if (otherCluster !== undefined && this.#call.kind !== 'read') {",
      ),
    ],
  },
  {
    id: 'M225',
    title: 'a time-out beyond the longest timer runs at once',
    why: 'Whoever wants no limit gets none of the time.',
    layers: UNIT,
    tests: [DURATIONS],
    edits: [edit('src/client/timer.ts', 'const isLast = leftMs <= DELAY_MAX_MS', 'const isLast = true')],
  },
  {
    id: 'M226',
    title: 'a circuit breaker is left half open by a call that lost interest',
    why: 'The endpoint is never tried again while others work.',
    layers: UNIT,
    tests: [BREAKER],
    edits: [edit(CALL, '      endpoint.ended(this)\n', '')],
  },
  {
    id: 'M227',
    title: 'a half-open circuit breaker lets everybody through',
    why: 'All calls wait for a node that hangs, not one.',
    layers: UNIT,
    tests: [BREAKER],
    edits: [
      edit(
        'src/client/endpoints.ts',
        'if (this.#open) this.#probe = caller',
        'if (!this.#open) this.#probe = caller',
      ),
    ],
  },
  {
    id: 'M228',
    title: 'a snapshot list that trickles is waited for without end',
    why: 'A time-out that each record renews is none.',
    layers: UNIT,
    tests: [DURATIONS],
    edits: [edit(LIST, '      this.#leftMs -= performance.now() - askedAt\n', '')],
  },
  {
    id: 'M229',
    title: 'a condition that is undefined is no condition',
    why: 'The revision of a record that does not exist is undefined: the write is made whatever is there.',
    layers: UNIT,
    tests: [ARGUMENTS],
    edits: [
      edit('src/client/check.ts', 'else if (conditions.has(name)) {', 'else if (conditions.size < 0) {'),
    ],
  },
  {
    id: 'M230',
    title: 'an option that does not exist is ignored',
    why: 'A misspelt condition is none.',
    layers: UNIT,
    tests: [ARGUMENTS],
    edits: [
      edit(
        'src/client/check.ts',
        'if (check === undefined) throw new TypeError(',
        'if (check === undefined) continue\n    if (name === "") throw new TypeError(',
      ),
    ],
  },
  {
    id: 'M231',
    title: 'what is asked of an embedded node does not wait for what was asked before',
    why: 'A crash during a start finds nothing to end, and the node runs for ever, after close() too.',
    layers: UNIT,
    tests: ['test/embed/crossing.int.test.ts'],
    edits: [edit('src/embed/node.ts', 'const done = this.#asked.then(step)', 'const done = step()')],
  },
  {
    id: 'M232',
    title: 'an embedded node that was asked to start twice starts twice',
    why: 'The second finds the directory in use.',
    layers: UNIT,
    tests: ['test/embed/crossing.int.test.ts'],
    edits: [
      edit(
        'src/embed/node.ts',
        'if (this.#running === undefined) await this.#start(founding)',
        'await this.#start(founding)',
      ),
    ],
  },
  {
    id: 'M233',
    title: 'a node that wants to be left alone keeps all others from being asked again',
    why: 'One overloaded node makes calls fail that the others would serve.',
    layers: UNIT,
    tests: [ENDINGS],
    edits: [edit(CALL, 'const wantedMs = Math.min(', 'const wantedMs = Math.max(')],
  },
  {
    id: 'M234',
    title: 'a write whose answer comes when it was given up is told as not written',
    why: 'It was applied.',
    layers: UNIT,
    tests: [ENDINGS],
    edits: [
      edit(
        CALL,
        "if (this.#call.kind !== 'read') this.#tries.unknown ??= new Error(",
        "if (this.#call.kind === 'read') this.#tries.unknown ??= new Error(",
      ),
    ],
  },
  {
    id: 'M235',
    title: 'a pause that does not fit into what is left ends the call',
    why: 'Up to a second of its time is not used: an election that ends then makes it fail.',
    layers: UNIT,
    tests: ['test/client/patience.test.ts'],
    edits: [
      edit(
        CALL,
        'const pauseMs = Math.min(this.#backoff.next(), Math.max(RETRY_BASE_MS, (endMs - nowMs) / 2))',
        'const pauseMs = this.#backoff.next()',
      ),
    ],
  },
  {
    id: 'M240',
    title: 'a connection that just closes ends no request',
    why: 'An answer of another protocol (status 101) leaves the call waiting for ever, its time-out notwithstanding.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit('src/client/exchange.ts', "      req.on('close', onClose)\n", '')],
  },
  {
    id: 'M241',
    title: 'a change of the cluster waits to the end for an endpoint that is off',
    why: 'The lost machine that it is about keeps it from being replaced.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [
      edit(
        CALL,
        'if (!isBare || exchange.isConnected()) return',
        'if (isBare || exchange.isConnected()) return',
      ),
    ],
  },
  {
    id: 'M242',
    title: 'a change of the cluster that may have left goes elsewhere as well',
    why: 'It is sent twice.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [edit(CALL, '(isPatient || (isBare && exchange.isConnected()))', 'isPatient')],
  },
  {
    id: 'M243',
    title: 'endpoints that do not accept a connection are waited for to the deadline',
    why: 'unreachableAfterMs holds only for those that refuse it.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [
      edit(
        CALL,
        'return isReached ? this.#deadline : Math.min(',
        'return this.#underway.size > 0 ? this.#deadline : Math.min(',
      ),
    ],
  },
  {
    id: 'M244',
    title: 'the answer of one endpoint speaks against the one that was asked last',
    why: 'A healthy node is passed over for a while.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [
      edit(
        CALL,
        '    if (!isWaiting()) return\n    // Still',
        '    if (!this.#underway.has(endpoint)) return\n    // Still',
      ),
    ],
  },
  {
    id: 'M245',
    title: 'a client believes a page that goes back',
    why: 'A list has no end, or has a key twice.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit(LIST, 'compare(key, last) !== wanted)', 'compare(key, last) === 2 * wanted)')],
  },
  {
    id: 'M246',
    title: 'a page that does not say whether there is more is taken for the last',
    why: 'A list without its end is taken for a whole one.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [
      edit(LIST, `if (typeof more !== 'boolean') disagree('"more" is neither true nor false')`, ''),
      edit(LIST, 'if (!more)', 'if (more !== true)'),
    ],
  },
  {
    id: 'M247',
    title: 'a list does not notice what ended it between its answer and its first record',
    why: 'It waits for a silent node though its caller has given up.',
    layers: UNIT,
    tests: [ENDINGS],
    edits: [edit(CLIENT, '        if (reason() !== undefined) end()\n', '')],
  },
  {
    id: 'M248',
    title: 'a write sends the buffer of its caller',
    why: 'A buffer that is used again meanwhile is written with other bytes than those given, and its retry with others again.',
    layers: UNIT,
    tests: [ENDINGS],
    edits: [edit(CLIENT, 'bytesOf(value) : new Uint8Array(value)', 'bytesOf(value) : value')],
  },
  {
    id: 'M249',
    title: 'a client believes a revision that no store can have',
    why: 'Every later read waits for it in vain.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit('src/client/decode.ts', 'return isWholeNumber(value) ? value : undefined', 'return value')],
  },
  {
    id: 'M250',
    title: 'a client does not look once more when its time is up',
    why: 'A process that was busy for a moment says that it cannot connect, though it has been.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [edit(CALL, 'Promise<void> => nextTurn()', 'Promise<void> => Promise.resolve()')],
  },
  {
    id: 'M251',
    title: 'a node that is about to join makes a client forget the others',
    why: 'It knows no members. When the node given at the start is lost, the client knows nobody who can serve.',
    layers: UNIT,
    tests: ['test/client/client.test.ts'],
    edits: [edit('src/client/endpoints.ts', '    if (urls.length === 0) return\n', '')],
  },
  {
    id: 'M252',
    title: 'a failed condition that is not as agreed says that nothing was written',
    why: 'An earlier try of the same write may have been applied.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [
      edit(
        'src/client/verdict.ts',
        "return unexpected(error, url, 'unknown')",
        "return unexpected(error, url, 'no')",
      ),
    ],
  },
  {
    id: 'M253',
    title: 'whatever answers a change of the members has made it',
    why: 'The login page of a proxy adds no member.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [
      edit(
        CLIENT,
        "membersIn(await this.#call('bare', { method: 'DELETE', path }, options), 'unknown')",
        "await this.#call('bare', { method: 'DELETE', path }, options)",
      ),
    ],
  },
  {
    id: 'M254',
    title: 'a call that is shorter than a few milliseconds says that nobody is there, and asks nobody',
    why: 'With such a time-out no call is ever made, and the message lies.',
    layers: UNIT,
    tests: [DURATIONS],
    edits: [edit(CALL, 'if (leftMs < LEFT_MIN_MS && this.#hasBegun) {', 'if (leftMs < LEFT_MIN_MS) {')],
  },
  {
    id: 'M590',
    title: 'a write that a proxy answered with 503 fails with the class that says that nothing was written',
    why: 'Whoever writes again after an UnavailableError writes twice.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [
      edit('src/client/verdict.ts', 'if (problem.passing && isNode) return', 'if (problem.passing) return'),
    ],
  },
  {
    id: 'M591',
    title: 'an embedded cluster starts with fewer nodes than its directory holds',
    why: 'In a copy of the directory its nodes call those of the original that they do not start themselves, and end the others.',
    layers: UNIT,
    tests: ['test/embed/cluster.int.test.ts'],
    edits: [edit('src/embed/cluster.ts', '  refuseFewer(names, options.dataDir)\n', '')],
  },
  {
    id: 'M614',
    title: 'an embedded cluster is ready before its nodes know where the others are now',
    why: 'clients of a copy of the directory learn the URLs of the original, and write there',
    layers: UNIT,
    tests: ['test/embed/cluster.int.test.ts'],
    edits: [edit('src/embed/cluster.ts', ' || !isKnown(node, nodes)', '')],
  },
  {
    id: 'M592',
    title: 'an option that is undefined covers its default',
    why: 'A node does not start, although options may be undefined.',
    layers: UNIT,
    tests: ['test/embed/arguments.int.test.ts'],
    edits: [
      edit(
        'src/server/start-node.ts',
        'if (value !== undefined) found[name] = value',
        'found[name] = value as never',
      ),
    ],
  },
  {
    id: 'M593',
    title: 'a try that ends cuts the pause short that another node has asked for',
    why: 'A node that is overloaded is asked again before its time, by every client that waits for it.',
    layers: UNIT,
    tests: ['test/client/patience.test.ts'],
    edits: [
      edit(CALL, 'if (!(await this.#news(untilMs - nowMs))) return', 'await this.#news(untilMs - nowMs)'),
    ],
  },
  {
    id: 'M594',
    title: 'a question to a node waits for ever when the answer changes the protocol',
    why: 'A node that was told a mistaken URL to join neither starts nor says why.',
    layers: UNIT,
    tests: ['test/server/ask-http.test.ts'],
    edits: [edit('src/server/ask-http.ts', "    outgoing.on('close', onClose)\n", '')],
  },
  {
    id: 'M595',
    title: 'a node joins at a URL with a slash at its end as it is written',
    why: 'No route has two slashes: it tries for half a minute, and then says that no node answered.',
    layers: UNIT,
    tests: ['test/embed/arguments.int.test.ts'],
    edits: [edit('src/embed/single-node.ts', 'urls: founding.urls.map(withoutSlash)', 'urls: founding.urls')],
  },
  {
    id: 'M596',
    title: 'of the writes of an import the one that failed first decides what is said',
    why: 'It says that nothing was written, although another of its writes may have been.',
    layers: UNIT,
    tests: ['test/cli/files.int.test.ts'],
    edits: [edit('src/cli/commands/import.ts', 'failures.find(isUnknown) ?? first', 'first')],
  },
  {
    id: 'M597',
    title: 'a page of another program, which it does not find, is taken for a key that does not exist',
    why: 'An application writes anew what is there.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit('src/client/decode.ts', 'status !== 404 || isOfNode(headers)', 'status !== 599')],
  },
  {
    id: 'M598',
    title: 'settings are taken for changed whoever answers',
    why: 'A proxy that answers a page of its own has changed nothing.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit(CLIENT, 'missing === undefined ? json', "missing !== '' ? json")],
  },
  {
    id: 'M599',
    title: 'a client believes a record outside the range of its list',
    why: 'A list has keys that nobody asked for.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit(LIST, 'if (!isInRange) disagree', 'if (isInRange && last === key) disagree')],
  },
  {
    id: 'M600',
    title: 'a time-out does not look at what has come while the process was busy',
    why: 'A write that was answered in time is told as one of unknown outcome.',
    layers: UNIT,
    tests: ['test/client/busy.test.ts'],
    edits: [edit('src/client/timer.ts', '(look = setImmediate(run))', 'run()')],
  },
  {
    id: 'M601',
    title: 'a client does not notice that the other end of a connection is gone without a word',
    why: 'A call without a time-out waits for ever, although the node is back.',
    layers: UNIT,
    tests: ['test/client/transport.test.ts'],
    edits: [edit('src/client/exchange.ts', "      req.on('timeout', () => giveUp(timeout))\n", '')],
  },
  {
    id: 'M602',
    title:
      'a stream without a time-out does not notice that the other end of its connection is gone without a word',
    why: 'A list waits for ever.',
    layers: UNIT,
    tests: ['test/client/streamed.test.ts'],
    edits: [edit(LIST, 'isSilenceFirst ? SILENCE_MAX_MS : this.#leftMs', 'this.#leftMs')],
  },
  {
    id: 'M603',
    title: 'every write of a new client waits for the first question, however long that has been under way',
    why: 'One connection that is stuck keeps all of them from being made, although a new one would be answered.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [edit('src/client/questions.ts', ' && shared.askedAt >= since', '')],
  },
  {
    id: 'M604',
    title: 'a list looks at the buffers of its range when its first record is asked for',
    why: 'Who uses them again meanwhile gets the list of another range, without a word.',
    layers: UNIT,
    tests: ['test/client/client.test.ts'],
    edits: [
      edit(CLIENT, 'return this.#list(withOwnBorders(options))', 'return this.#list(options)'),
      edit(
        CLIENT,
        '    checkList(options)\n',
        '    checkList(options)\n    options = withOwnBorders(options)\n',
      ),
    ],
  },
  {
    id: 'M605',
    title: 'a put fails because another program has taken the address of one node',
    why: 'Where three nodes are named and one address is stale, a third of all writes ends with an unknown outcome.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [edit(CALL, "error.code === 'wrong_cluster' || this.#call.kind === 'bare'", 'true')],
  },
  {
    id: 'M606',
    title: 'a page of another program ends a read that a node would have answered',
    why: 'Where three nodes are named and one address is stale, a third of all reads fails.',
    layers: UNIT,
    tests: [STRANGE],
    edits: [
      edit(CALL, 'if (isServed && !isOfNode(answer.headers)) {', 'if (isServed && this.#deadline < 0) {'),
    ],
  },
  {
    id: 'M607',
    title: 'a write leaves although its time was up before its connection was made',
    why: 'A process that was busy sends what its caller has given up, and tells an outcome as unknown that could be known.',
    layers: UNIT,
    tests: ['test/client/transport.test.ts'],
    edits: [
      edit(
        'src/client/exchange.ts',
        'if (performance.now() - startedAt >= options.timeoutMs) giveUp(options.timeoutMs)\n      else connected = true',
        'connected = true',
      ),
    ],
  },
  {
    id: 'M608',
    title: 'however many calls a client is asked for, all are under way at once',
    why: 'Ten thousand writes that begin together keep one another from ending in time, and nearly all outcomes are unknown.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [edit(TURNS, '    if (this.#taken >= this.#max) return false\n', '')],
  },
  {
    id: 'M609',
    title: 'a call that throws keeps its turn',
    why: 'After a few hundred failures the client does nothing any more.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [
      edit(
        CLIENT,
        'return await perform(call, context)',
        'const answer = await perform(call, context)\n      this.#turns.give()\n      return answer',
      ),
      edit(CLIENT, 'this.#turns.giveAfter(performance.now() - startedAt - waitedMs)', ''),
    ],
  },
  {
    id: 'M646',
    title: 'a turn goes to a call that waits for none any more',
    why: 'The next one waits for a turn that nobody gives back.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [edit(TURNS, 'if (begin === undefined) continue', 'if (begin === undefined) return')],
  },
  {
    id: 'M647',
    title: 'a write whose turn comes with the end of its time leaves all the same',
    why: 'Its outcome is unknown, although nothing needed to be sent.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [
      edit(
        CLIENT,
        'if (isTurn && timeoutMs - waitedMs >= leastMs(call, this.#turns.usualMs))',
        'if (isTurn)',
      ),
    ],
  },
  {
    id: 'M648',
    title: 'a call whose time is up before it begins keeps the turn that it got',
    why: 'The client has one turn fewer, and one day none.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [edit(CLIENT, '    if (isTurn) this.#turns.give()\n', '')],
  },
  {
    id: 'M649',
    title: 'what a call has waited for its turn counts as time in which nobody could be reached',
    why: 'It fails with "cannot connect" after its first try.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [edit(CLIENT, ' + waitedMs', '')],
  },
  {
    id: 'M650',
    title: 'a machine that is off takes the whole time in which somebody must be reached',
    why: 'A call that begins there fails with "cannot connect", although the others were not asked.',
    layers: UNIT,
    tests: ['test/client/call.test.ts'],
    edits: [edit(CALL, 'others > 0 ? this.#leftMs / (others + 1) : Number', 'others < 0 ? 0 : Number')],
  },
  {
    id: 'M651',
    title: 'a call that has waited begins with less time than calls need',
    why: 'Where more is asked for than can be done, all begin when their time is nearly up: none ends in time, and all outcomes are unknown.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [
      edit(
        CALL,
        'Math.max(tryMs, Math.min(1.25 * usualMs, timeoutMs * 0.75))',
        'Math.max(tryMs, 0 * usualMs)',
      ),
    ],
  },
  {
    id: 'M652',
    title: 'a client that is closed while a call has just been given its turn does not end that call',
    why: 'It asks a node all the same, and waits for it as long as it may.',
    layers: UNIT,
    tests: [TURNS_TEST],
    edits: [edit(CLIENT, '    if (this.#closed) end()\n', '')],
  },
  {
    id: 'M653',
    title: 'a node that has no room for the connection is taken for another program',
    why: 'An answer to HEAD has no body that says overloaded: the first write of a client fails instead of waiting a moment.',
    layers: UNIT,
    tests: [FIRST_WRITE],
    edits: [edit('src/client/decode.ts', 'new Set([429, 502', 'new Set([502')],
  },
  {
    id: 'M654',
    title: 'a node is taken for silent while its answer comes',
    why: 'Over a slow link three nodes send the same page at once: a list that has the time for one fails every time.',
    layers: UNIT,
    tests: ['test/client/call.test.ts'],
    edits: [edit(CALL, 'if (heardAt > since) bePatient', 'if (heardAt > this.#deadline) bePatient')],
  },
  {
    id: 'M655',
    title: 'of an answer only the beginning is heard',
    why: 'A node that needs long to send a page is taken for silent.',
    layers: UNIT,
    tests: ['test/client/transport.test.ts'],
    edits: [
      edit(
        'src/client/exchange.ts',
        ' || !(neededMs > leftMs)) heardAt = nowMs',
        ' && neededMs < 0) heardAt = nowMs',
      ),
    ],
  },
  {
    id: 'M656',
    title: 'every call that is slow is asked of all nodes',
    why: 'A cluster that was late for a moment gets three copies of everything, and stays late for as long as the load lasts.',
    layers: UNIT,
    tests: [HEDGES],
    edits: [
      edit('src/client/hedges.ts', 'if (this.#tokens < 1) return false', 'if (this.#max < 1) return false'),
    ],
  },
  {
    id: 'M657',
    title: 'a node that keeps silent is not passed over by other calls while no call may be asked twice',
    why: 'All wait for a node that hangs.',
    layers: UNIT,
    tests: ['test/client/call.test.ts'],
    edits: [
      edit(
        CALL,
        '          endpoint.failed(performance.now())\n          bePatient(',
        '          bePatient(',
      ),
    ],
  },
  {
    id: 'M658',
    title: 'each call looks up the names of nodes for itself',
    why: 'With a nameserver that does not answer the lookup takes as long as the call: no call ever connects.',
    layers: UNIT,
    tests: [CONNECTING],
    edits: [edit('src/client/exchange.ts', 'headers, timeout, lookup })', 'headers, timeout })')],
  },
  {
    id: 'M489',
    title: 'a node that never answers is not passed over when calls are aborted before their patience ends',
    why: 'Of a cluster of three every third call fails for as long as the machine is off.',
    layers: UNIT,
    tests: [BREAKER],
    edits: [
      edit(
        CALL,
        "if (this.#end?.kind === 'aborted') endpoint.givenUp",
        'if (this.#end === undefined) endpoint.givenUp',
      ),
    ],
  },
  {
    id: 'M492',
    title: 'a node is waited for alone although its answer would come too late',
    why: 'Where one node of three is behind a wire that loses much, every third list of larger values fails.',
    layers: UNIT,
    tests: ['test/client/transport.test.ts'],
    edits: [edit('src/client/exchange.ts', '!(neededMs > leftMs)', 'neededMs > 0')],
  },
]
