"""A rank's rows: in memory or streamed, scaling, epoch plans, augmentation."""
