// Multiplexed connections: which answer belongs to which operation, and what one client may do to others.

import type { Mutant } from '../mutant.ts'
import { edit, UNIT } from './edit.ts'

const MUX = 'src/server/mux'
const CONNECTION = `${MUX}/connection.ts`
const MULTIPLEXER = `${MUX}/multiplexer.ts`
const OPERATION = `${MUX}/operation.ts`
const OPERATIONS = `${MUX}/operations.ts`
const FIELDS = `${MUX}/fields.ts`
const UPGRADE = `${MUX}/upgrade.ts`

const CONNECTION_TESTS = ['test/server/mux/connection.int.test.ts']
const OPERATION_TESTS = ['test/server/mux/operations.int.test.ts']
const SLOW_TESTS = ['test/server/mux/slow-clients.int.test.ts']
const CHANGES_TESTS = ['test/server/mux/changes.int.test.ts']
const OPENING_TESTS = ['test/server/mux/opening.int.test.ts']

export const MULTIPLEXED: readonly Mutant[] = [
  {
    id: 'M869',
    title: 'the bytes of a batch do not count for credit',
    why: 'One client can fill the memory of a node with batches.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(CONNECTION, 'return changesBytes(item[3])', 'return 0 * changesBytes(item[3])')],
  },
  {
    id: 'M870',
    title: 'the problems in an answer to a batch count as little as two numbers',
    why: 'A client that fails thousands of conditions and takes no answers fills the memory of a node.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [
      edit(OPERATIONS, 'bytes += OUTCOME_PROBLEM_BYTES', 'bytes += OUTCOME_BYTES'),
      edit(OPERATIONS, 'bytes += outcome.current?.key.length ?? 0', 'bytes += 0'),
    ],
  },
  {
    id: 'M871',
    title: 'the problem of a change does not say which one is wrong',
    why: 'Nobody finds it among a thousand.',
    layers: UNIT,
    tests: CHANGES_TESTS,
    edits: [edit(FIELDS, 'throw error instanceof Refused ?', 'throw error instanceof RangeError ?')],
  },
  {
    id: 'M735',
    title: 'an answer has the number of its place in the message in place of the id of its operation',
    why: 'As long as answers come in order nobody notices. Then a client gets the value of another key.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(
        CONNECTION,
        'items.push(ready.answer)',
        'items.push([items.length + 1, ...ready.answer.slice(1)])',
      ),
    ],
  },
  {
    id: 'M736',
    title: 'the timeout of an operation is lost: it has the default',
    why: 'A client waits for longer than it wanted, or gives up before the node does.',
    layers: UNIT,
    tests: OPERATION_TESTS,
    edits: [
      edit(
        FIELDS,
        'field <= TIMEOUT_MS_MAX) return field\n',
        'field <= TIMEOUT_MS_MAX) return TIMEOUT_MS_DEFAULT\n',
      ),
    ],
  },
  {
    id: 'M737',
    title: 'the bytes of an operation are not given back',
    why: 'After some operations a client that keeps to its credit is cut.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, '        this.#openBytes -= ready.bytes\n', '')],
  },
  {
    id: 'M738',
    title: 'the id of an operation stays in use after its answer',
    why: 'After 4096 operations the connection is cut.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, '        this.#open?.delete(ready.id)\n', '')],
  },
  {
    id: 'M739',
    title: 'answers go to the connection on which the last operation arrived',
    why: 'A client gets answers of another client, and none to its own operations.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(
        OPERATION,
        '  readonly #asker: Asker\n',
        '  static last: Asker\n  get #asker(): Asker {\n    return Operation.last\n  }\n',
      ),
      edit(OPERATION, 'this.#asker = asker', 'Operation.last = asker'),
    ],
  },
  {
    id: 'M740',
    title: 'a change can be cancelled: its client is told that nothing was written',
    why: 'The change is made all the same.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(CONNECTION, 'operation === undefined || operation.isChange ||', 'operation === undefined ||'),
    ],
  },
  {
    id: 'M741',
    title: 'a wrong field of one operation ends the connection',
    why: 'All other operations of this client lose their outcome.',
    layers: UNIT,
    tests: OPERATION_TESTS,
    edits: [
      edit(
        OPERATIONS,
        "      // Nothing was proposed.\n      operation.refuse(this.#options.refused(error), 'no')",
        '      throw error',
      ),
    ],
  },
  {
    id: 'M742',
    title: 'a read that was cancelled is answered once more when the node has its answer',
    why: 'The client takes it for the answer to its next operation with this id.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(OPERATION, '    if (this.status !== undefined) return\n', ''),
      edit(
        OPERATIONS,
        'if (operation.isAbandoned) {',
        'if (operation.isAbandoned && operation.status === undefined) {',
      ),
    ],
  },
  {
    id: 'M743',
    title: 'an id that is in use is taken again',
    why: 'Two answers have the same id.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, 'this.#open.get(id) !== undefined', 'this.#open.get(id)?.id === 0')],
  },
  {
    id: 'M744',
    title: 'the number of operations of a connection has no bound',
    why: 'One client fills the memory of the node.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, 'this.#open.size >= limits.muxOperationsMax || ', '')],
  },
  {
    id: 'M745',
    title: 'answers that were not sent when their connection ended count as waiting without end',
    why: 'After some of them every read is refused as overloaded.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(CONNECTION, '    backlog.remove(this.#readyBytes)\n', '')],
  },
  {
    id: 'M746',
    title: 'a ping of a client counts as a message that has not arrived',
    why: 'Clients that are idle use up what may be received at a time.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, 'before + bytes - this.#controlBytes', 'before + bytes')],
  },
  {
    id: 'M747',
    title: 'a client that does not take its answers is read on',
    why: 'It makes the node do work without end.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(CONNECTION, 'if (ahead) this.#ws.pause()\n    else', '')],
  },
  {
    id: 'M748',
    title: 'a node that stops takes further operations on its connections',
    why: 'A client that goes on sending keeps the node from ending, and loses outcomes in the end.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [
      edit(MULTIPLEXER, 'if (isClosing()) operation', 'if (isClosing() && operation.id < 0) operation'),
    ],
  },
  {
    id: 'M749',
    title: 'a node that stops ends connections with operations under way',
    why: 'Their clients do not know the outcome.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, "if (this.waitsFor() === 'nothing') this.#close", 'this.#close')],
  },
  {
    id: 'M750',
    title: 'a change whose outcome is unknown is told as not written',
    why: 'Its client may make it twice.',
    layers: UNIT,
    tests: OPERATION_TESTS,
    edits: [edit(OPERATIONS, 'result.problem.written)\n        return\n', "'no')\n        return\n")],
  },
  {
    id: 'M751',
    title: 'the origin of a page that opens a connection is checked as for a read',
    why: 'Any web page can write to a node on the machine of its reader.',
    layers: UNIT,
    tests: OPENING_TESTS,
    edits: [edit(UPGRADE, "guard.checkOrigin({ ...request, method: 'PUT' })", 'guard.checkOrigin(request)')],
  },
  {
    id: 'M752',
    title: 'messages are sent whether or not their client takes them',
    why: 'They stay in memory without end.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(CONNECTION, 'if (this.#socket.writableLength === 0) continue', 'if (at > 0) continue')],
  },
  {
    id: 'M753',
    title: 'room for the record before a put is reserved and not given back',
    why: 'After some of these puts every read is refused as overloaded.',
    layers: UNIT,
    tests: SLOW_TESTS,
    edits: [edit(OPERATION, '    this.hold?.release()\n', '')],
  },
  {
    id: 'M754',
    title: 'a client that answers no ping is kept',
    why: 'Connections of machines that are gone stay open, up to the limit.',
    layers: UNIT,
    tests: CONNECTION_TESTS,
    edits: [edit(CONNECTION, 'this.#silentMs >= 2 * muxPingMs', 'this.#silentMs >= 1e9 * muxPingMs')],
  },
]
