// Reads a transaction at a terminal, line by line. A line with an error is reported at once and can be repeated. An
// empty line ends a section; after the last one, or Ctrl-D in it, the transaction is complete.

import { isUtf8 } from 'node:buffer'
import { type ReadFile, type TxnJson, TxnReader, TxnSyntaxError } from './txn-language.ts'

/** Linux silently cuts off what a line at a terminal has beyond this, with its end. */
const TERMINAL_LINE_BYTES = 4096
const LF = 0x0a

const INTRODUCTION = `\
Comparisons come first, then what is done if all of them hold, then what is done otherwise.
An empty line ends each part. Ctrl-C gives up.
`

export interface TxnTerminal {
  /** Ended when the transaction is complete, because the process does not end while it is read. */
  readonly input: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean }
  /** For prompts and messages. */
  readonly output: { write(text: string): unknown }
  readonly readFile: ReadFile
}

/** undefined: the input has ended before the transaction was complete. */
export async function readTxn({ input, output, readFile }: TxnTerminal): Promise<TxnJson | undefined> {
  const dialogue = new Dialogue(readFile)
  output.write(`${INTRODUCTION}${dialogue.prompt}`)
  let partial: Buffer = Buffer.alloc(0)
  for await (const chunk of input) {
    const { lines, rest } = split(Buffer.concat([partial, Buffer.from(chunk)]))
    partial = rest
    for (const line of lines) {
      const message = complaint(line, input.isTTY === true) ?? dialogue.take(line.toString())
      if (message !== undefined) output.write(message)
      if (dialogue.isComplete) return dialogue.result
      output.write(dialogue.prompt)
    }
  }
  output.write('\n')
  return partial.length === 0 && dialogue.mayEnd ? dialogue.result : undefined
}

function split(bytes: Buffer): { readonly lines: readonly Buffer[]; readonly rest: Buffer } {
  const lines: Buffer[] = []
  let from = 0
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, from)) {
    lines.push(bytes.subarray(from, at))
    from = at + 1
  }
  return { lines, rest: bytes.subarray(from) }
}

function complaint(line: Buffer, isTerminal: boolean): string | undefined {
  if (isTerminal && line.length + 1 >= TERMINAL_LINE_BYTES)
    return `the line is too long for a terminal, which may have cut it off: a line has less than ${TERMINAL_LINE_BYTES - 1} bytes\n`
  return isUtf8(line) ? undefined : 'the line is not UTF-8\n'
}

/** What has been said so far. */
class Dialogue {
  readonly #reader: TxnReader
  #lines = 0
  #complete = false
  /** The section has been begun by an empty line, and nothing has been said in it. */
  #begun = false

  constructor(readFile: ReadFile) {
    this.#reader = new TxnReader(readFile)
  }

  get prompt(): string {
    return `${'  '.repeat(this.#reader.depth)}${this.#reader.section}> `
  }

  get isComplete(): boolean {
    return this.#complete
  }

  /** Whether the end of the input completes it. */
  get mayEnd(): boolean {
    return this.#reader.depth === 0 && this.#reader.section === 'else'
  }

  get result(): TxnJson {
    return this.#reader.result
  }

  /** Returns what is wrong with the line. */
  take(line: string): string | undefined {
    this.#lines += 1
    const text = line.replace(/\r$/, '')
    if (/^[ \t]*$/.test(text)) {
      const { depth } = this.#reader
      this.#complete = this.#reader.endSection()
      this.#begun = this.#reader.depth === depth
      return undefined
    }
    if (/^[ \t]*#/.test(text)) return undefined
    const isRepeated = this.#begun && text.replace(/[ \t]#.*/, '').trim() === this.#reader.section
    this.#begun = false
    // In a text that is pasted, an empty line may come before `then` or `else`.
    if (isRepeated) return undefined
    if (text.trimStart().startsWith('{') && this.#reader.section === 'compare')
      return 'JSON is read from a file or standard input, not line by line\n'
    return this.#read(text)
  }

  #read(text: string): string | undefined {
    try {
      this.#reader.read({ text, number: this.#lines })
      return undefined
    } catch (error) {
      if (!(error instanceof TxnSyntaxError)) throw error
      const hint = error.hint === undefined ? '' : `(${error.hint})\n`
      return `column ${error.column}: ${error.message}\n${hint}`
    }
  }
}
