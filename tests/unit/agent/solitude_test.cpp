// When an agent has nobody left.
#include "agent/relay/solitude.hpp"

#include <gtest/gtest.h>

namespace ckpt::relay {
namespace {

using std::chrono::seconds;
using Coordinator = Solitude::Coordinator;
const Solitude::Time kStart{seconds(1000)};

TEST(Solitude, WithRanksItStaysWhateverTheCoordinator) {
  Solitude solitude(kStart);
  solitude.ranks(2, kStart + seconds(1));
  for (const auto state : {Coordinator::unreachable, Coordinator::ended, Coordinator::connected}) {
    solitude.coordinator(state, kStart + seconds(2));
    EXPECT_FALSE(solitude.ends_at());
  }
}

TEST(Solitude, WithACoordinatorItStaysForIt) {
  Solitude solitude(kStart);
  solitude.coordinator(Coordinator::connected, kStart + seconds(1));
  solitude.ranks(1, kStart + seconds(2));
  solitude.ranks(0, kStart + seconds(3));
  EXPECT_FALSE(solitude.ends_at());
}

TEST(Solitude, WithNeitherItGoesFromWhenTheLastOneWent) {
  Solitude solitude(kStart);
  EXPECT_EQ(solitude.ends_at(), kStart + Solitude::kUnreachable);
  solitude.ranks(1, kStart + seconds(1));
  solitude.coordinator(Coordinator::connected, kStart + seconds(2));
  solitude.ranks(0, kStart + seconds(50));
  solitude.coordinator(Coordinator::unreachable, kStart + seconds(60));
  EXPECT_EQ(solitude.ends_at(), kStart + seconds(60) + Solitude::kUnreachable);
  // Trying again and again does not put it off.
  solitude.coordinator(Coordinator::unreachable, kStart + seconds(70));
  EXPECT_EQ(solitude.ends_at(), kStart + seconds(60) + Solitude::kUnreachable);
}

TEST(Solitude, AfterAGoodEndItGoesSoon) {
  Solitude solitude(kStart);
  solitude.ranks(1, kStart);
  solitude.coordinator(Coordinator::ended, kStart + seconds(5));
  solitude.ranks(0, kStart + seconds(9));
  EXPECT_EQ(solitude.ends_at(), kStart + seconds(9) + Solitude::kAfterEnd);
  solitude.ranks(1, kStart + seconds(10));
  EXPECT_FALSE(solitude.ends_at());
}

}  // namespace
}  // namespace ckpt::relay
