// The HTTP interface: ranges, the two lanes, and how much of a node's resources a client may use.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const HTTP = 'src/server/http'
const RANGE = `${HTTP}/range.ts`
const READING = `${HTTP}/range-reading.ts`
const CONNECTIONS = `${HTTP}/connections.ts`
const FAST_LANE = `${HTTP}/fast-lane.ts`
const HTTP_LANE = `${HTTP}/http-lane.ts`
const OUTFLOW = `${HTTP}/outflow.ts`
const PLAIN = `${HTTP}/plain-request.ts`
const CONDITIONS = `${HTTP}/conditions.ts`
const KEYS = `${HTTP}/keys.ts`
const TURNS = `${HTTP}/turns.ts`
const CHANGES = `${HTTP}/changes.ts`
const JSON_BODY = `${HTTP}/json-body.ts`

const RANGE_TESTS = ['test/server/http/range.prop.test.ts', 'test/server/http/range.int.test.ts']
const SLOW_TESTS = ['test/server/http/slow-clients.int.test.ts']
const CONNECTION_TESTS = ['test/server/http/connections.int.test.ts']
const LANE_TESTS = ['test/server/http/raw-connection.int.test.ts']
const LOADING_TESTS = ['test/server/http/loading.int.test.ts']
const API_TESTS = ['test/server/http/api.int.test.ts']
const KEY_TESTS = ['test/server/http/keys.int.test.ts']
const BODY_TESTS = ['test/server/http/bodies.int.test.ts']
const ENCODING_TESTS = ['test/server/http/encoding.prop.test.ts']
const CHANGES_TESTS = ['test/server/http/changes.int.test.ts']

export const HTTP_FRONT: readonly Mutant[] = [
  {
    id: 'M802',
    title: 'a page leaves out a row that does not fit, and takes a smaller one after it',
    why: 'The next page begins after it: the row is never shown.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, '      if (isFull) break\n', '      if (isFull) continue\n')],
  },
  {
    id: 'M803',
    title: 'the count is that of the remaining rows, not of the whole range',
    why: 'The count of a range changes from page to page.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, 'counts ? scan(whole, true)', 'counts ? scan(rest, true)')],
  },
  {
    id: 'M804',
    title: 'a full page does not say that there are more rows',
    why: 'The list ends in the middle.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, 'return { slices, more: true, last }', 'return { slices, more, last }')],
  },
  {
    id: 'M805',
    title: 'backwards, a page begins after the end of its range',
    why: 'The client gets rows that it did not request.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, 'isBefore(after, end) ? after : end', 'isBefore(end, after) ? after : end')],
  },
  {
    id: 'M806',
    title: 'a page begins before the start of its range',
    why: 'The client gets rows that it did not request.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, 'isBefore(start, next) ? next : start', 'next')],
  },
  {
    id: 'M807',
    title: 'keys_only is ignored in a stream',
    why: 'The client gets values that it did not request.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(RANGE, 'const toJson = values.keys_only ? metaJson : recordJson', 'const toJson = recordJson'),
    ],
  },
  {
    id: 'M808',
    title: 'a stream has no limit',
    why: 'The client gets more rows than it requested.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(
        RANGE,
        'pourSlices(reading, scan, reading.limit,',
        'pourSlices(reading, scan, Math.max(reading.limit, 1e9),',
      ),
    ],
  },
  {
    id: 'M809',
    title: 'the bytes of a page are those of its rows, not of their JSON',
    why: 'The JSON is up to six times as large: 4 MiB of control characters become 24.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(READING, 'const bytes = form.bytes(record)', 'const bytes = row.key.length + row.value.length'),
    ],
  },
  {
    id: 'M810',
    title: 'the scan of a stream whose client has gone stays open',
    why: 'LevelDB keeps old rows without end.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(
        READING,
        '        for (const scan of scans) scan.close()\n',
        '        if (!asked.isAbandoned()) for (const scan of scans) scan.close()\n',
      ),
    ],
  },
  {
    id: 'M664',
    title: 'a page that is not the last counts although something was skipped',
    why: 'LevelDB could not open a table: the page has a hole.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(
        READING,
        '      await finish(scan)\n      return { slices, more: true, last }',
        '      return { slices, more: true, last }',
      ),
    ],
  },
  {
    id: 'M665',
    title: 'a stream that ends at its limit counts although something was skipped',
    why: 'LevelDB could not open a table: the stream has a hole, and an end line.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, '    await finish(scan)\n    sink.end', '    sink.end')],
  },
  {
    id: 'M811',
    title: 'the turn of a range that has been read is not given back',
    why: 'After 64 of them there are no turns left.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, '        this.#open--\n', '')],
  },
  {
    id: 'M812',
    title: 'the end of a stream has the number of its slices',
    why: 'A client considers a complete stream broken.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(RANGE, 'count += rows.length\n      return rows.map', 'count += 1\n      return rows.map')],
  },
  {
    id: 'M813',
    title: 'an answer whose client has gone counts as waiting without end',
    why: 'After some of them every read is refused as overloaded.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        OUTFLOW,
        '    backlog.remove(bytes)\n    done(taken)',
        '    if (taken) backlog.remove(bytes)\n    done(taken)',
      ),
    ],
  },
  {
    id: 'M814',
    title: 'bytes that a client sends count as a sign that it reads',
    why: 'A client that sends a byte now and then keeps its answers in memory without end.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        CONNECTIONS,
        'takes ? socket.bytesWritten : -socket.bytesRead',
        'socket.bytesWritten + socket.bytesRead',
      ),
    ],
  },
  {
    id: 'M815',
    title: 'a client that takes no answers is not disconnected',
    why: 'Its answers stay in memory without end.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        CONNECTIONS,
        'if (watched.stillMs < stallMsMax || !waits) continue',
        'if (watched.stillMs < stallMsMax || !waits || !this.#closing) continue',
      ),
    ],
  },
  {
    id: 'M816',
    title: 'a node that stops waits for incomplete requests',
    why: 'A client with half a request head delays it for ten seconds.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        CONNECTIONS,
        "const waits = takes || (this.#closing && owner.waitsFor() !== 'node')",
        'const waits = takes',
      ),
    ],
  },
  {
    id: 'M817',
    title: 'a node that stops disconnects clients that wait for their answers',
    why: 'Earlier requests are not answered.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(CONNECTIONS, "(this.#closing && owner.waitsFor() !== 'node')", 'this.#closing')],
  },
  {
    id: 'M818',
    title: 'an answer leaves in one piece',
    why: 'The node does not see that a slow client takes parts of it, and disconnects the client.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(OUTFLOW, 'PIECE_BYTES = 64 * 1024', 'PIECE_BYTES = 64 * 1024 * 1024')],
  },
  {
    id: 'M819',
    title: 'answers that clients do not take have no limit',
    why: 'A few dozen clients that do not read end a node.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        OUTFLOW,
        'if (this.#bytes > own && this.#bytes + bytes > this.#bytesMax)',
        'if (this.#bytes > own && bytes > this.#bytesMax)',
      ),
    ],
  },
  {
    id: 'M820',
    title: 'a busy connection is closed to make room for a new one',
    why: 'A change is made, and its client never gets the answer.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(CONNECTIONS, "if (watched.owner.waitsFor() === 'nothing') longest = watched", 'longest = watched'),
    ],
  },
  {
    id: 'M821',
    title: 'connections leave no room for files',
    why: 'LevelDB cannot open its next file, and the node ends.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(
        CONNECTIONS,
        'const room = all < connectionsThatFit(openFilesMax(), fronts.size)',
        'const room = all - connectionsThatFit(openFilesMax(), fronts.size) < 1e9',
      ),
    ],
  },
  {
    id: 'M822',
    title: 'the connection that has been idle for the shortest time is closed to make room',
    why: 'Active clients lose their connections, and idle ones keep theirs.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(
        CONNECTIONS,
        'watched.owner.quietSince >= longest.owner.quietSince',
        'watched.owner.quietSince <= longest.owner.quietSince',
      ),
    ],
  },
  {
    id: 'M823',
    title: 'a connection whose client sends no more is passed to node:http as it is',
    why: 'Its last request is lost.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(FAST_LANE, '    if (this.#ended) {\n', '    if (this.#ended && this.#arrived.length === 0) {\n'),
    ],
  },
  {
    id: 'M824',
    title: 'an unreadable request is answered before the earlier ones',
    why: 'The client takes the answer for that of another request.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(HTTP_LANE, 'if (newest === undefined) this.end(refused)', 'this.end(refused)')],
  },
  {
    id: 'M825',
    title: 'the reader of a body is not told that the body was interrupted',
    why: 'The client waits for its time-out.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(
        `${HTTP}/body.ts`,
        '    this.#refuse(refused)\n    this.#onBroken?.()\n',
        '    this.#refused = refused\n',
      ),
    ],
  },
  {
    id: 'M826',
    title: 'the timer of the fast lane moves every connection whose request is incomplete',
    why: 'Connections of clients that send head and body separately all lose the lane permanently.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(FAST_LANE, '      if (since !== undefined && since > until) continue\n', '')],
  },
  {
    id: 'M827',
    title: 'a body is requested before the head is checked',
    why: 'It is sent, and refused.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [
      edit(
        HTTP_LANE,
        'receive(request, response, () => response.writeContinue()),',
        'receive(request, (response.writeContinue(), response)),',
      ),
    ],
  },
  {
    id: 'M828',
    title: 'requests that wait for their turn on node:http have no limit',
    why: 'A client that sends them endlessly ends the node.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(HTTP_LANE, 'this.#waiting.length >= AHEAD_REQUESTS_MAX || heldBytes', 'heldBytes')],
  },
  {
    id: 'M829',
    title: 'max_staleness is ignored for a read that is not stale',
    why: 'The client relies on a bound that was not checked.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [edit(`${HTTP}/reading.ts`, "consistency !== 'stale'", "consistency === 'lease'")],
  },
  {
    id: 'M830',
    title: 'the fast lane ignores a chunked body',
    why: 'The body is read as the next request: a request smuggled past the other lane.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(PLAIN, "new Set(['transfer-encoding', 'trailer',", "new Set(['trailer',")],
  },
  {
    id: 'M831',
    title: 'the fast lane reads the first of several lengths',
    why: 'Two parsers see two requests.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(
        PLAIN,
        '  if (!/^[0-9]{1,6}$/.test(text)) return undefined\n  const length = Number(text)',
        '  const length = Number.parseInt(text, 10)',
      ),
    ],
  },
  {
    id: 'M833',
    title: 'node:http accepts no more than 2,000 header fields',
    why: 'Later ones are dropped silently or refused, while the other lane accepts them.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(HTTP_LANE, 'this.server.maxHeadersCount = 0', 'this.server.maxHeadersCount = 2_000')],
  },
  {
    id: 'M832',
    title: 'the fast lane serves the next request while an answer is not taken by its client',
    why: 'Answers pile up for a client that does not read.',
    layers: UNIT,
    tests: [...LANE_TESTS, ...SLOW_TESTS],
    edits: [edit(FAST_LANE, 'return this.#underWay || this.#untaken', 'return this.#underWay')],
  },
  {
    id: 'M840',
    title: 'spaces in a list of entity tags can be read in two ways',
    why: 'One request with many of them stops the node for seconds, and no heartbeats are sent.',
    layers: UNIT,
    tests: ENCODING_TESTS,
    edits: [edit(CONDITIONS, '"[\\t ]*)?(?:,|$)', '")?[\\t ]*(?:,|$)')],
  },
  {
    id: 'M842',
    title: 'a key in a query is found only where its name is not escaped',
    why: 'One resource has two names: one of them is an empty key, or a range.',
    layers: UNIT,
    tests: KEY_TESTS,
    edits: [edit(`${HTTP}/classify.ts`, '/^(?:k|%6[Bb])(?:e|%65)(?:y|%79)(?:=|$)/', '/^key(?:=|$)/')],
  },
  {
    id: 'M843',
    title: 'a POST may have any transfer coding that ends in chunked',
    why: 'A compressed body is read as if it were not compressed.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [edit(`${HTTP}/app.ts`, 'return codingRefusal(headers)', 'return undefined')],
  },
  {
    id: 'M844',
    title: 'a list of tags may be longer than an entry can hold',
    why: 'With a higher limit for heads the node fails in the middle of the request, and room for its answer stays taken.',
    layers: UNIT,
    tests: ENCODING_TESTS,
    edits: [edit(CONDITIONS, 'revisions.length > TAGS_MAX)', 'revisions.length > 8 * TAGS_MAX)')],
  },
  {
    id: 'M845',
    title: 'the fast lane has its own limit for heads, whatever is configured',
    why: 'A request is served or refused depending on its lane.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(PLAIN, 'Math.min(HEAD_BYTES_MAX, headBytesMax)', 'HEAD_BYTES_MAX')],
  },
  {
    id: 'M841',
    title: 'a body is refused for lack of room before the request is checked',
    why: 'A request that can never be valid is told to come again.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(
        `${HTTP}/server.ts`,
        '= putKey(this.#options.node, this.#backlog, asked)',
        '= (value: Uint8Array, then: Respond) => putKey(this.#options.node, this.#backlog, asked)(value, then)',
      ),
    ],
  },
  {
    id: 'M846',
    title: 'an error of the listener is not handled',
    why: 'One connection that cannot be accepted, for example for lack of memory, ends the node.',
    layers: UNIT,
    tests: LOADING_TESTS,
    edits: [
      edit(
        `${HTTP}/server.ts`,
        "        server.on('error', (error) => logger.error({ error: error.message }, 'the HTTP listener failed'))\n",
        '',
      ),
    ],
  },
  {
    id: 'M847',
    title: 'routes that could not be loaded are never tried again',
    why: 'A node that was short of files once has no status and no metrics until it is restarted.',
    layers: UNIT,
    tests: LOADING_TESTS,
    edits: [
      edit(`${HTTP}/server.ts`, '      this.#coldRoutes = undefined\n      throw error', '      throw error'),
    ],
  },
  {
    id: 'M848',
    title:
      'a replacement is reported as done when the new replica is a member, even if the old one is not removed',
    why: 'The operator is told that a lost replica has been removed, and it still counts for the quorum.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [
      edit(
        `${HTTP}/cluster.ts`,
        'const mayRepeat = name === oldName || !isNamed(node, oldName)',
        'const mayRepeat = true',
      ),
    ],
  },
  {
    id: 'M849',
    title: 'a JSON body may have any number of parts',
    why: 'One request stops the node for more than a second, and no heartbeats are sent.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [edit(JSON_BODY, 'const JSON_PARTS_MAX = 4_096', 'const JSON_PARTS_MAX = 4_096_000')],
  },
  {
    id: 'M850',
    title: 'room for the record before is kept when the node fails in the middle of a PUT',
    why: 'Each failure permanently takes some of the room for answers, until every request is overloaded.',
    layers: UNIT,
    tests: KEY_TESTS,
    edits: [
      edit(KEYS, 'answering(answer, () =>\n        propose', 'answering(respond, () =>\n        propose'),
    ],
  },
  {
    id: 'M570',
    title: 'the view of a lagging node decides about a change of members',
    why: 'A node that is cut off says that a removed replica is a member, or that a name is free that is in use.',
    layers: UNIT,
    tests: API_TESTS,
    edits: [
      edit(
        `${HTTP}/cluster.ts`,
        '  whenNewest(node, asked, respond, () => {\n    const steps = stepsNow()\n',
        '  const steps = stepsNow()\n  whenNewest(node, asked, respond, () => {\n',
      ),
    ],
  },
  {
    id: 'M571',
    title: 'a request after an answer that ends its connection is executed all the same',
    why: 'The client may assume that it was not executed, and sends it again: it is executed twice.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(
        `${HTTP}/http-lane.ts`,
        '    if (!this.#stream.writable) {\n',
        '    if (this.#stream.destroyed) {\n',
      ),
    ],
  },
  {
    id: 'M572',
    title: 'the chunks of a body are kept separately',
    why: 'A body in chunks of one byte takes four hundred times its size: a few clients fill the memory, and the node ends.',
    layers: UNIT,
    tests: BODY_TESTS,
    edits: [
      edit(`${HTTP}/body.ts`, '  #length = 0\n', '  #length = 0\n  readonly #chunks: Buffer[] = []\n'),
      edit(
        `${HTTP}/body.ts`,
        'else this.#received = appended(this.#received, before, chunk)',
        'else this.#chunks.push(chunk)',
      ),
      edit(
        `${HTTP}/body.ts`,
        'this.#received.subarray(0, this.#length)',
        'Buffer.concat(this.#chunks.splice(0), this.#length)',
      ),
    ],
  },
  {
    id: 'M573',
    title: 'a client may send bodies ahead of its answers without limit',
    why: 'The bodies of a few such clients take all the memory, and all others are told that the node is overloaded.',
    layers: UNIT,
    tests: BODY_TESTS,
    edits: [edit(HTTP_LANE, ' || heldBytes > AHEAD_BYTES_MAX', '')],
  },
  {
    id: 'M574',
    title: 'a body that will not be read is kept',
    why: 'It stays in memory until its request is answered, and a client may keep sending until then.',
    layers: UNIT,
    tests: BODY_TESTS,
    edits: [edit(`${HTTP}/server.ts`, '        body.drop()\n', '')],
  },
  {
    id: 'M575',
    title: 'a node that stops closes connections at once, also with unread bytes in them',
    why: 'The connection is reset, and the client loses the rest of its answer.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(
        `${HTTP}/connections.ts`,
        'const cut = setTimeout(() => stream.destroy(), LINGER_MS)',
        "const cut = setTimeout(() => {}, LINGER_MS)\n  stream.once('finish', () => stream.destroy())",
      ),
    ],
  },
  {
    id: 'M576',
    title: 'a connection continues after a request for another protocol',
    why: 'The parser drops what arrived with the end of the request: a request gets no answer, and the rest of a value is read as a request.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [
      edit(
        HTTP_LANE,
        '    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false\n',
        '',
      ),
    ],
  },
  {
    id: 'M577',
    title: 'a node that stops leaves its idle connections to node:http, which cuts them',
    why: 'A client that reads its answer slowly, and asks again at that moment, loses the rest of the answer.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(HTTP_LANE, '    this.server.closeIdleConnections = () => {}\n', '')],
  },
  {
    id: 'M578',
    title: 'slices of ranges do not wait for their turn',
    why: 'Slices of many ranges are encoded in one turn of the event loop: heartbeats are late, and so are writes.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [edit(READING, 'new Turns(limits.slicesMax)', 'new Turns(Number.POSITIVE_INFINITY)')],
  },
  {
    id: 'M579',
    title: 'a slice that cannot be read keeps its turn',
    why: 'After as many failures as there are turns, no range is read any more.',
    layers: UNIT,
    tests: RANGE_TESTS,
    edits: [
      edit(
        TURNS,
        '    try {\n      return await run()\n    } finally {\n',
        '    const result = await run()\n    {\n',
      ),
      edit(TURNS, '      else next()\n    }\n', '      else next()\n    }\n    return result\n'),
    ],
  },
  {
    id: 'M580',
    title: 'a node that stops ends idle connections at once',
    why: 'Clients that have just received an answer, and ask again, get no answer, and do not know the outcome of a change.',
    layers: UNIT,
    tests: LANE_TESTS,
    edits: [edit(`${HTTP}/server.ts`, 'const CLOSE_IDLE_MS = 50', 'const CLOSE_IDLE_MS = 1')],
  },
  {
    id: 'M581',
    title: 'reads that are granted together are answered in one turn of the event loop',
    why: 'Hundreds of large values delay heartbeats for longer than an election time-out.',
    layers: UNIT,
    tests: ['test/server/node/reads.test.ts'],
    edits: [
      edit(
        'src/server/node/reads.ts',
        'if (at > 0 && this.#clock.now() >= until) {',
        'if (this.#clock.now() < 0) {',
      ),
    ],
  },
  {
    id: 'M582',
    title: 'a stale read that waits for the turn of others has no time-out',
    why: 'Under overload its client gets no answer, and reads are done that no client waits for any more.',
    layers: UNIT,
    tests: ['test/server/node/reads.test.ts'],
    edits: [
      edit(
        'src/server/node/reads.ts',
        '      if (waiter.open && waiter.timer === undefined) this.#arm(waiter)\n',
        '',
      ),
    ],
  },
  {
    id: 'M583',
    title: 'a node that stops closes connections that wait to be accepted',
    why: 'Their clients have sent a request, get no answer, and do not know the outcome of a change.',
    layers: UNIT,
    tests: ['test/server/http/connections.int.test.ts'],
    edits: [edit(`${HTTP}/server.ts`, '    if (graceful) await this.#acceptWaiting()\n', '')],
  },
  {
    id: 'M584',
    title: 'a node that stops ends a connection as soon as it sees it idle',
    why: 'A client that has just received the end of a large answer, and asks again, gets no answer, and does not know the outcome of a change.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(HTTP_LANE, 'if (connection.quietSince < this.#idleSince) connection.end()', 'connection.end()'),
    ],
  },
  {
    id: 'M585',
    title: 'a node that stops ends a connection after an answer that did not announce it',
    why: 'Its client asks again, gets no answer, and does not know the outcome of a change.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(FAST_LANE, 'if (this.#isLast) this.end()', 'if (this.#options.isClosing()) this.end()')],
  },
  {
    id: 'M586',
    title: 'the status of a node is refused when too many answers wait for clients',
    why: 'A monitor considers the node dead, and restarts it, because clients do not take their answers.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [
      edit(`${HTTP}/server.ts`, " && operation !== 'other'\n    if (!mayRefuse", '\n    if (!mayRefuse'),
    ],
  },
  {
    id: 'M587',
    title: 'a PUT with prev reserves room for the largest possible record',
    why: 'Of 22 that arrive at once at an idle node, one is refused as overloaded.',
    layers: UNIT,
    tests: ['test/server/http/keys.int.test.ts'],
    edits: [
      edit(
        `${HTTP}/keys.ts`,
        'row.key.length + row.value.length',
        'row.key.length + Math.max(row.value.length, 1 << 20)',
      ),
    ],
  },
  {
    id: 'M795',
    title: 'of a name that occurs twice in an object, the last one counts',
    why: 'Whoever checks the request before may read the first one. Another key is written than was allowed.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(JSON_BODY, 'return namesIn(json) === names\n', 'return namesIn(json) <= names\n')],
  },
  {
    id: 'M796',
    title: 'characters that are not base64 are skipped in a batch',
    why: 'Other bytes are stored than were sent.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [
      edit(
        `${HTTP}/given-bytes.ts`,
        "if (bytes.toString('base64') === given.base64) return bytes",
        'if (bytes) return bytes',
      ),
    ],
  },
  {
    id: 'M797',
    title: 'an escaped quote ends a string when the parts of a body are counted',
    why: 'A batch is refused because of the text of a value, or its number of parts is not bounded.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(JSON_BODY, 'if (byte === BACKSLASH) at++', 'if (byte === BACKSLASH) at += 0')],
  },
  {
    id: 'M798',
    title: 'room for the results of a batch is kept when the node fails in the middle of it',
    why: 'Each failure permanently takes some of the room for answers, until every request is overloaded.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(CHANGES, 'const make = answering(answer, () =>', 'const make = answering(respond, () =>')],
  },
  {
    id: 'M799',
    title: 'a batch is proposed without its identity',
    why: 'A batch that is sent again is made twice.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(CHANGES, 'readIdentity(asked.headers)', 'readIdentity({})')],
  },
]
