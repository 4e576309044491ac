import type { Load } from '../load/load.ts'
import { start } from './measure-load.ts'
import type { Setting, Side } from './scenario.ts'

const FILL_IN_FLIGHT = 256
/** More bytes of large values in flight than this, and a node would refuse some. */
const FILL_BYTES_IN_FLIGHT = 16 * 1024 * 1024

/** Writes each key from `fill_from` to `keys` - 1 once. */
export async function fill(
  side: Side,
  setting: Setting,
  wish: Partial<Load> & Pick<Load, 'fill_from' | 'keys'>,
): Promise<void> {
  const ofBytes = Math.floor(FILL_BYTES_IN_FLIGHT / (wish.value_bytes ?? setting.valueBytes))
  const inFlight = Math.max(1, Math.min(FILL_IN_FLIGHT, ofBytes))
  const asFastAsPossible = { in_flight: inFlight, rate: null, warmup_seconds: 0, seconds: null }
  const load = await start(side, setting, { ...asFastAsPossible, ...wish })
  const { errors } = await load.report
  const kinds = Object.keys(errors)
  if (kinds.length > 0) throw new Error(`the store of ${side.name} could not be filled: ${kinds.join(', ')}`)
}
