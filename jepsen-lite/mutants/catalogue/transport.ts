// Frames, and who may speak on a connection. The simulator has wires of its own: what is wrong in sockets and frames, tests with real ones see.

import type { Mutant } from '../mutant.ts'
import { DRIVER_TESTS, edit, UNIT } from './edit.ts'

const HANDSHAKE_TESTS = ['test/server/tcp/handshake.int.test.ts', 'test/server/tcp/link.int.test.ts']
const DRIVER = 'src/server/driver.ts'
const PROCESSES = 'src/server/links/processes.ts'

export const TRANSPORT: readonly Mutant[] = [
  {
    id: 'M71',
    title: 'a frame is taken whatever its checksum',
    why: 'A bit that flipped on the way is replicated.',
    layers: UNIT,
    tests: ['test/server/tcp/bytes.test.ts', 'test/server/tcp/codec.prop.test.ts', ...HANDSHAKE_TESTS],
    edits: [
      edit('src/server/tcp/frames.ts', 'if (crc32(body) !== frame.readUInt32BE(4))', 'if (crc32(body) < 0)'),
    ],
  },
  {
    id: 'M72',
    title: 'an older process of a replica is heard',
    why: 'It says what was true before the restart.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [
      edit(
        PROCESSES,
        'if (known === undefined || boot > known.boot || known.incarnation',
        'if (known === undefined || boot !== known.boot || known.incarnation',
      ),
    ],
  },
  {
    id: 'M401',
    title: 'a start counter that jumps far ahead is believed',
    why: 'Whoever makes one up keeps the real replica from starting.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(PROCESSES, 'if (boot > (known?.boot ?? 0) + this.#bootJumpMax) {', 'if (boot < 0) {')],
  },
  {
    id: 'M115',
    title: 'a node of another cluster is admitted',
    why: 'Two clusters mix, because somebody reused an address.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(DRIVER, 'if (clusterId !== this.clusterId) {', "if (clusterId === '') {")],
  },
  {
    id: 'M116',
    title: 'a replica that was removed is admitted',
    why: 'It never learns of its removal, and knocks for ever.',
    layers: ['sim', 'unit'],
    tests: DRIVER_TESTS,
    edits: [
      edit(
        DRIVER,
        'if (this.#configuration.removed.includes(replicaId)) {',
        'if (this.#configuration.removed.includes(this.#replicaId)) {',
      ),
    ],
  },
]
