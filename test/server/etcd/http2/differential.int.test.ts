// The same frames to HTTP/2 of our own and to that of node:http2: what comes of each stream, and of the connection.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ServerConnection } from '../../../../src/server/etcd/http2/connection.ts'
import { runs } from '../../../runs.ts'
import { Conversation, type Outcome } from './conversation.ts'
import { drawnSteps, type Step } from './drawn-frames.ts'
import { ServerConnection as NodeConnection } from './node-http2.ts'

const RUNS = runs(2_500)
/** Many conversations are long: only some frames end the connection, or are a difference that is listed. */
const STEPS_MIN = 5

test('random frames have the same outcome', async () => {
  let compared = 0
  await fc.assert(
    fc.asyncProperty(drawnSteps, async (steps) => {
      const ours = await Conversation.begin(ServerConnection)
      const nodes = await Conversation.begin(NodeConnection)
      try {
        compared += await compare(steps, ours, nodes)
      } finally {
        nodes.client.socket.destroy()
        await expectEmpty(ours)
      }
    }),
    { numRuns: RUNS },
  )
  expect(compared).toBeGreaterThan(STEPS_MIN * RUNS)
})

interface Difference {
  readonly why: string
  isIt(text: string, our: Outcome, node: Outcome): boolean
}

const PROTOCOL_ERROR = 1
const INTERNAL_ERROR = 2
const FLOW_CONTROL_ERROR = 3
const STREAM_CLOSED = 5

const hasReset = ({ streams }: Outcome, code: number): boolean =>
  Object.values(streams).some(({ resetCode }) => resetCode === code)

/** Where RFC 9113 leaves the choice, and where node:http2 does not keep to it. */
const LISTED: readonly Difference[] = [
  {
    why: '§5.1: a frame on a stream that its client has ended is an error of the stream; node:http2 ends the connection',
    isIt: (text, our, node) =>
      /^(?:data|trailers|request) /.test(text) && hasReset(our, STREAM_CLOSED) && node.end === STREAM_CLOSED,
  },
  {
    why: '§6.1: too much padding is an error of the connection, on a closed stream too',
    isIt: (text, our, node) => /padding$/.test(text) && our.end === PROTOCOL_ERROR && node.end === undefined,
  },
  {
    why: '§6.3: a priority of stream 0 is an error of the connection, which node:http2 ignores',
    isIt: (text, our, node) =>
      text === 'a priority of no stream' && our.end === PROTOCOL_ERROR && node.end === undefined,
  },
  {
    why: '§5.1: a head of a stream that its client has ended, and that stops; node:http2 names the stream first',
    isIt: (text, our, node) =>
      text === 'a block that stops' && our.end === PROTOCOL_ERROR && node.end === STREAM_CLOSED,
  },
  {
    why: '§6.5.2: a wrong setting is an error, even if a later one of the same frame is not wrong',
    isIt: (text, our, node) =>
      text.startsWith('settings [[') &&
      (our.end === FLOW_CONTROL_ERROR || our.end === PROTOCOL_ERROR) &&
      node.end !== our.end,
  },
  {
    why: '§6.5.3 and §6.7 do not say what an acknowledgement of nothing is; node:http2 ends the connection',
    isIt: (text, our) => /^an acknowledgement of (?:no ping|settings)$/.test(text) && our.end === undefined,
  },
  {
    why: '§6.8: a client that leaves may open streams; node:http2 refuses them, and ends the connection',
    isIt: (text, our) => text === 'farewell' && our.end === undefined,
  },
  {
    why: '§6.9: a window that does not grow, or is too large, is an error of its stream; node:http2 ends the connection',
    isIt: (text, our, node) =>
      /^window [1-9]\d* \d+$/.test(text) && our.end === undefined && node.end !== undefined,
  },
  {
    why: '§6.9: trailers need no window; node:http2 sends them when there is one',
    isIt: (_, our, node) =>
      node.end === undefined &&
      Object.entries(our.streams).some(([id, { hasEnded, bytes }]) => {
        const other = node.streams[Number(id)]
        return hasEnded && other?.bytes === bytes && !other.hasEnded
      }),
  },
  {
    why: '§8.1.1: data beyond the announced length is an error of the stream; node:http2 ends the connection',
    isIt: (text, our, node) =>
      text.startsWith('data ') && hasReset(our, PROTOCOL_ERROR) && node.end === INTERNAL_ERROR,
  },
  {
    why: '§8.2.1: a request with such a field is malformed; node:http2 drops the field',
    isIt: (text, our, node) =>
      /fields: (?:a line end|a space at the end|an empty name)/.test(text) &&
      hasReset(our, PROTOCOL_ERROR) &&
      node.end === undefined,
  },
]

/** Returns the number of steps that were compared: until a connection ends, or a difference is one of those listed. */
async function compare(steps: readonly Step[], ours: Conversation, nodes: Conversation): Promise<number> {
  for (const [at, { bytes, text }] of steps.entries()) {
    const [our, node] = await Promise.all([ours.send(bytes), nodes.send(bytes)])
    if (LISTED.some(({ isIt }) => isIt(text, our, node))) return at + 1
    if (our.end !== undefined || node.end !== undefined) {
      expect(our.end, text).toBe(node.end)
      return at + 1
    }
    expect(our.streams, text).toEqual(node.streams)
  }
  return steps.length
}

/** Whatever a client does: once it is gone, nothing of it is left. */
async function expectEmpty({ client, told }: Conversation): Promise<void> {
  client.socket.destroy()
  await expect.poll(() => [told.untaken, told.unread, told.open.size], { interval: 1 }).toEqual([0, 0, 0])
}
