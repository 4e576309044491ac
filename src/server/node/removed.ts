export const WAS_REMOVED = 'was removed from the cluster'

/** The reason that a removed node gets, with the way back for its operator. */
export const removedText = (node: string): string =>
  `${node} ${WAS_REMOVED}. To bring the node back, start it on an empty directory with --join URL`
