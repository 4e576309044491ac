// The commits of the versions whose files are recorded here.

/** Cluster version 1, format 2, protocol 2. */
export const COMMIT_OF_0_1_0 = '173a75de3f6dd25e3217bd459e61bf49f418bdf4'
