import { sentenceOfRule, wrongRule } from '../../../jepsen-lite/sim/wrong-rules.ts'
import { Button } from '../design/button.tsx'
import { client } from './lab-state.ts'
import { LineNotice } from './line-notice.tsx'

/** A message, its answer and a write of the lab's cluster take less. */
const BEFORE_BREAK_MS = 120

/** The line that says which wrong rule the run has; later, what it broke. The page does not move when it breaks. */
export function WrongRule() {
  const name = /^[^;]*\brule=([\w-]+)/.exec(client.link.value)?.[1]
  const rule = wrongRule(name ?? '')
  const violation = client.view.value?.violation
  const sentence = rule === undefined ? '' : sentenceOfRule(rule)
  if (violation === undefined)
    return rule === undefined ? null : <LineNotice kind="warning" text={sentence} />
  const unordered = client.view.value?.verdict.unordered?.text ?? ''
  const text = [`A rule is broken, and the run ends here: ${violation}.`, unordered, sentence]
  return (
    <LineNotice kind="problem" text={text.filter((part) => part !== '').join(' ')}>
      <Button onClick={() => client.goBack(BEFORE_BREAK_MS)}>Go back to see how</Button>
    </LineNotice>
  )
}
