/** Lines of a file that decide something, with those around them. */
export interface CodeExcerpt {
  readonly file: string
  /** Number of the first line. */
  readonly first: number
  readonly lines: readonly string[]
  /** Numbers of the lines that decide. */
  readonly marked: readonly number[]
}

/** By the kind of a decision (src/raft/types.ts). */
export type DecisionCode = Readonly<Record<string, readonly CodeExcerpt[]>>
