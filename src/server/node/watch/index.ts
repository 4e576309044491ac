export { EventsMessage, type MessageForm, PREV_BYTES_MAX, type WatchEvent } from './events.ts'
export { WatchHub, type WatchLimits } from './hub.ts'
export type { Watch, WatchCounts, WatchEnd, WatchRequest, WatchSink } from './types.ts'
