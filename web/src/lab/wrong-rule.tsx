import { sentenceOfRule, wrongRule } from '../../../jepsen-lite/sim/wrong-rules.ts'
import { Notice } from '../design/notice.tsx'
import { client } from './lab-state.ts'

/** Says that the run has a wrong rule, and which. */
export function WrongRule() {
  const name = /^[^;]*\brule=([\w-]+)/.exec(client.link.value)?.[1]
  const rule = wrongRule(name ?? '')
  return rule === undefined ? null : <Notice kind="warning">{sentenceOfRule(rule)}</Notice>
}
