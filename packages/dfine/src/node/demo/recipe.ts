/** What the demo trains on, and how: some six minutes on two cores. */
export const DEMO = {
  data: { size: 256, train: 400, val: 60, unseen: 6 },
  train: {
    epochs: 7,
    batch: 8,
    valBatch: 8,
    optimizer: { learningRate: 8e-4, backboneLearningRate: 8e-4 },
    schedule: { warmupSteps: 50 },
    ema: { decay: 0.99, warmups: 50 },
    // A mirrored 2 or 5 is no digit.
    augmentation: { transforms: [] },
  },
};
