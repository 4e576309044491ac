export { EventsMessage, type MessageForm, PREV_BYTES_MAX, type WatchEvent } from './events.ts'
export { type WatchCounts, WatchHub, type WatchLimits } from './hub.ts'
export type { Watch, WatchEnd, WatchRequest, WatchSink } from './types.ts'
