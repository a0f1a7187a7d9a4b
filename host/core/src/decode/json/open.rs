//! Arrays and objects that are open around a value.

/// Containers that are open around a value, from the outermost on.
#[derive(Default)]
pub(super) struct Open {
    /// The innermost containers, the last in the lowest bit: set for an object.
    objects: u64,
    /// Number of containers in `objects`.
    depth: u32,
    /// Full words of the containers around these. So deep is nothing but a hostile record, whose length bounds it.
    around: Vec<u64>,
}

#[derive(Clone, Copy)]
pub(super) enum Container {
    Object,
    Array,
}

impl Container {
    pub(super) fn end(self) -> u8 {
        match self {
            Container::Object => b'}',
            Container::Array => b']',
        }
    }
}

impl Open {
    #[inline]
    pub(super) fn push(&mut self, container: Container) {
        if self.depth == u64::BITS {
            self.around.push(self.objects);
            self.depth = 0;
        }
        self.objects = self.objects << 1 | u64::from(matches!(container, Container::Object));
        self.depth += 1;
    }

    #[inline]
    pub(super) fn last(&self) -> Option<Container> {
        let object = self.objects & 1 == 1;
        (self.depth > 0).then_some(if object { Container::Object } else { Container::Array })
    }

    #[inline]
    pub(super) fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
        if self.depth == 0
            && let Some(around) = self.around.pop()
        {
            (self.objects, self.depth) = (around, u64::BITS);
        }
    }
}
