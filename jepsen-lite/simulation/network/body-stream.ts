// The body of an answer that a node reads while its client takes it: a list of one revision, or a backup. The node
// continues when the client has taken what it has sent.

import { Readable } from 'node:stream'
import type { BudgetPart } from '../../../src/server/api/budget.ts'
import type { BodySink } from '../../../src/server/connections/messages.ts'

interface BodyStreamOptions {
  /** Sends something to the client, after everything that was sent before. */
  toClient(run: () => void): void
  /** Something reaches the node. */
  toNode(run: () => void): void
  /** The stream is over, at one of its ends. */
  over(): void
}

export class BodyStream implements BodySink {
  /** The end at the client. */
  readonly stream: Readable
  readonly #options: BodyStreamOptions
  #isOver = false
  /** Answers the node, which waits until its client has taken a part. */
  #taken: ((isTaken: boolean) => void) | undefined
  /** Whether the client has the last part, and has perhaps not taken it. */
  #hasArrived = false

  constructor(options: BodyStreamOptions) {
    this.#options = options
    this.stream = new Readable({
      read: () => {
        if (this.#hasArrived) this.#answer(true)
      },
      destroy: (error, done) => {
        this.abandon()
        done(error)
      },
    })
    // Its reader receives the error. The connection may be cut before there is a reader.
    this.stream.on('error', () => {})
  }

  // ---- at its node

  write(part: BudgetPart): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(false)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#taken = resolve
    this.#hasArrived = false
    this.#options.toClient(() => {
      if (this.#isOver) return
      this.#hasArrived = true
      if (this.stream.push(Buffer.from(part as Uint8Array))) this.#answer(true)
    })
    return promise
  }

  end(text: string): void {
    this.#options.toClient(() => {
      if (this.#isOver) return
      if (text !== '') this.stream.push(Buffer.from(text))
      this.stream.push(null)
      this.#end()
    })
  }

  cut(): void {
    this.#options.toClient(() => this.reset())
  }

  // ---- at its client

  /** The connection is cut. */
  reset(): void {
    if (!this.#isOver) this.stream.destroy(new Error('the connection was cut'))
  }

  /** Its client takes no more. */
  abandon(): void {
    this.#end()
    this.#answer(false)
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.over()
  }

  #answer(isTaken: boolean): void {
    const taken = this.#taken
    this.#taken = undefined
    if (taken !== undefined) this.#options.toNode(() => taken(isTaken))
  }
}

/** Gathers all of it, for a client that receives it as one. */
export async function gathered({ stream }: BodyStream): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
