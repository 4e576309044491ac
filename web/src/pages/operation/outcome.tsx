// The outcome of a change that the user made here.

import { describeError, NoAnswerError, RefusedError } from '../../cluster/connection.ts'
import { SafeText } from '../../design/bytes-text.tsx'
import { Mark } from '../../design/mark.tsx'

/** The sentence about the last change; undefined: none was made. */
export function OutcomeLine({ text }: { readonly text: string | undefined }) {
  return (
    <p class="outcome" role="status">
      {text !== undefined && (
        <>
          <Mark of="written" text={null} /> <SafeText text={text} />
        </>
      )}
    </p>
  )
}

/** A failed change as an error whose message says what became of it. */
export function failedChange(error: unknown): Error {
  if (error instanceof NoAnswerError)
    return new Error(
      error.written === 'unknown'
        ? 'No answer came, so it is not known whether the change was made. Look before you try again.'
        : `Nothing was changed: ${error.message}.`,
    )
  if (error instanceof RefusedError && error.problem.written === 'unknown')
    return new Error(`${error.problem.detail}. It is not known whether the change was made.`)
  return new Error(`Nothing was changed: ${describeError(error)}.`)
}
